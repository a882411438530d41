"""What vLLM keeps of an engine that has ended: copies of its tokenizer.

vLLM remembers which arguments a function takes, by function, and some functions are made for one
tokenizer.
"""

from __future__ import annotations

from vllm.utils import func_utils


def forget() -> None:
    """Those that are still in use are looked at again."""
    for kept in vars(func_utils).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()
