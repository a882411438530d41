"""Evidence: quotes a response, cut so that a finding stays short."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_QUOTE = 40  # characters
MOST_QUOTES = 3


def quote(text: str, longest: int = LONGEST_QUOTE) -> str:
    """The text between quotation marks, on one line; its beginning where it is long."""
    shown = " ".join(text[: 4 * longest].split())
    if len(shown) > longest or len(text) > 4 * longest:
        shown = shown[: longest - 3].rstrip() + "..."
    return f'"{shown}"'


def quote_end(text: str, longest: int = LONGEST_QUOTE) -> str:
    """The same, with the end of a long text."""
    shown = " ".join(text[-4 * longest :].split())
    if len(shown) > longest or len(text) > 4 * longest:
        shown = "..." + shown[3 - longest :].lstrip()
    return f'"{shown}"'


def quotes(texts: Sequence[str]) -> str:
    """The first few of them."""
    shown = ", ".join(quote(text) for text in texts[:MOST_QUOTES])
    return f"{shown} and more" if len(texts) > MOST_QUOTES else shown


def around(text: str, start: int, end: int, margin: int = 12) -> str:
    """A part of the text with the whole words beside it."""
    before = text[max(0, start - margin) : start]
    if start > margin:
        before = before.partition(" ")[2]
    after = text[end : end + margin]
    if end + margin < len(text):
        after = after.rpartition(" ")[0]
    return quote(f"{before}{text[start:end]}{after}".strip())


def counted(count: int, one: str, many: str) -> str:
    """ "1 word", "3 words", "no words" """
    return f"{count or 'no'} {one if count == 1 else many}"


def listed(texts: Sequence[str], word: str = "and") -> str:
    """ "a", "b" and "c" """
    shown = [quote(text) for text in texts]
    if len(shown) > 5:
        shown = [*shown[:5], f"{len(texts) - 5} more"]
    return joined(shown, word)


def joined(parts: Sequence[str], word: str = "and") -> str:
    """ "a, b and c" """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
