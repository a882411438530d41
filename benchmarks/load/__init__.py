"""Servers that are measured, and requests to them."""
