"""Clients of a Redraft server: typed Python, a terminal chat, examples with OpenAI's SDKs."""
