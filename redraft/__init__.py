"""Redraft: an OpenAI-compatible server whose model checks its own work, and its trainer."""

__version__ = "0.1.0"
