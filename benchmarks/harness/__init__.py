"""Task sets through lm-evaluation-harness."""
