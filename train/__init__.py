"""Self-Refinement Tuning, from data to a model that can be served. ``redraft train --help``."""
