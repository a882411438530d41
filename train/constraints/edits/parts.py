"""Takes a response apart: sentences in their places, list items, and groups of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from redraft.server.refine.checks.splitting import split_sentences

ITEM = re.compile(r"^[^\S\n]*(?:[*\-•+]|\d{1,3}[.)])[^\S\n]+(?=\S)", re.MULTILINE)
_SEPARATOR_LINE = re.compile(r"^[^\S\n]*+(?:\*{3,}|-{3,}|_{3,})[^\S\n]*+$", re.MULTILINE)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where each sentence stands."""
    spans, at = [], 0
    for sentence in split_sentences(text):
        start = text.index(sentence, at)
        at = start + len(sentence)
        spans.append((start, at))
    return spans


def without_sentences(text: str, unwanted: Sequence[int]) -> str:
    """The text without the sentences of these numbers."""
    for number, (start, end) in reversed(list(enumerate(sentence_spans(text)))):
        if number in unwanted:
            text = text[:start] + text[end:].lstrip(" ")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def units(text: str) -> list[str]:
    """What a text can be regrouped by: its lines, those of several sentences taken apart."""
    plain = _SEPARATOR_LINE.sub("", text)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return [sentence for line in lines for sentence in _sentences(line)]


def _sentences(line: str) -> list[str]:
    if ITEM.match(line) or line.startswith("#"):
        return [line]
    return split_sentences(line) or [line]


def grouped(parts: Sequence[str], count: int) -> list[list[str]] | None:
    """The parts in so many groups of like size, in their order; None: there are too few."""
    if len(parts) < count:
        return None
    edges = [round(number * len(parts) / count) for number in range(count + 1)]
    return [list(parts[a:b]) for a, b in pairwise(edges)]


def joined(group: Sequence[str]) -> str:
    """A group as running text; list items stay on lines of their own."""
    text = ""
    for part in group:
        on_its_own = ITEM.match(part) or part.startswith("#")
        text += ("\n" if text and on_its_own else " " if text else "") + part
    return text


def unmarked(line: str) -> str:
    """A line without its bullet or number."""
    return ITEM.sub("", line, count=1).strip()


def lowered_start(text: str) -> str:
    """Ready to follow other words: a capital at its beginning becomes small, but for "I"."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    if not first[:1].isupper() or first[1:] != first[1:].lower() or re.match(r"I\b", first):
        return text
    return text[:1].lower() + text[1:]
