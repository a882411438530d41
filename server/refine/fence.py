"""Fence: marks off other people's texts in a request, so that none of them passes for a part of it.

The word on the fence is in none of the texts, so no text can end its own quotation. It follows from
the texts: the same request has the same fence, and the prefix cache finds it again.
"""

from __future__ import annotations

import hashlib
from itertools import count

LETTERS = 6  # of the word: hexadecimal


def fence_of(*texts: str) -> str:
    """A word that none of the texts contains. It depends on the first alone, unless another
    happens to have it: in a loop the instruction stays and the response changes."""
    lowered = [text.lower() for text in texts]
    for attempt in count():
        word = hashlib.sha256(f"{attempt} {texts[0]}".encode("utf-8", "replace")).hexdigest()
        if not any(word[:LETTERS] in text for text in lowered):
            return word[:LETTERS]
    raise AssertionError("there are more words than any text has letters")


def fenced(text: str, fence: str) -> str:
    return f"[begin {fence}]\n{text}\n[end {fence}]"
