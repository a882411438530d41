"""The workbench: verifiable instructions with an exact judge and an exact critic, and the small
model that is trained on them from scratch to show that refining works."""
