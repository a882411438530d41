"""The OpenAI-compatible self-refinement server. Run: python -m server --help"""

__version__ = "0.1.0"
