"""An exact critic and an exact judge behind an OpenAI-compatible API."""
