"""Engines, the sources of completions: their protocol (base), and a module or package for each."""
