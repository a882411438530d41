"""How well answers follow the constraints of their prompts, before and after refining."""
