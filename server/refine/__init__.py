"""The loop of draft, feedback and refinement. Standard library only; no HTTP, no GPU."""
