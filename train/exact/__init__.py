"""The workbench's exact critic and exact judge behind an OpenAI-compatible API."""
