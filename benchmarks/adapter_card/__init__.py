"""The card of the shipped adapter, from what was recorded of it."""
