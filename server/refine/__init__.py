"""The idea itself: draft, feedback, refinement. Standard library only; no HTTP, no GPU."""
