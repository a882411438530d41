"""Ways of answering, and whether their answers are right."""
