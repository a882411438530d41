"""Splits a response into words, sentences, paragraphs and lines, in time linear in its length.

Words are runs of letters, digits and underscores ("don't" is two). A sentence ends with a full
stop, a question mark or an exclamation mark, with the quotation marks and brackets after it,
before white space. A full stop does not end one after a known abbreviation, after a single
letter, and, after a number or an ellipsis, before a lower-case letter. The end of a line alone ends
none. These are the rules of IFEval's splitters, without their trained tables. Paragraphs are
separated by a line without text.
"""

from __future__ import annotations

import re
from functools import cached_property

WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile("(?<=[.?!…])[\"'\u201d\u2019»)\\]}*_]*(?=\\s)|\\Z")
_BLANK = re.compile(r"\n[^\S\n]*\n")
_LAST_TOKEN = re.compile(r"[^\s]{1,40}\Z")

_SHORT = (
    "a.m adm al approx apr assn aug ave bros capt cf co col comdr corp dec dept det dr e.g ed est "
    "etc feb fig gen gov hon i.e inc jan jr jul jun lt ltd maj mar messrs mr mrs ms mt mts no nov "
    "oct op p.m ph.d pp prof rep rev sec sen sep sept sgt sr st u.k u.n u.s va vol vs"
)
_ABBREVIATIONS = frozenset(_SHORT.split())
_OPENING = "\"'\u201c\u2018([{*_"


class Text:
    """A response under check, split once for all checks; and the instruction it answers."""

    def __init__(self, response: str, instruction: str = "") -> None:
        self.raw = response
        self.instruction = instruction

    @cached_property
    def stripped(self) -> str:
        return self.raw.strip()

    @cached_property
    def lowered(self) -> str:
        return self.raw.lower()

    @cached_property
    def words(self) -> list[str]:
        return WORD.findall(self.raw)

    @cached_property
    def sentences(self) -> list[str]:
        return split_sentences(self.raw)

    @cached_property
    def paragraphs(self) -> list[str]:
        return [part.strip() for part in _BLANK.split(self.raw) if part.strip()]

    @cached_property
    def lines(self) -> list[str]:
        """Those with text."""
        return [line.strip() for line in self.raw.splitlines() if line.strip()]


def split_sentences(text: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if end.end() < len(text) and _goes_on(text, end.start(), end.end()):
            continue
        if sentence := text[start : end.end()].strip():
            sentences.append(sentence)
        start = end.end()
    return sentences


def _goes_on(text: str, stop: int, end: int) -> bool:
    """Whether the sentence goes on after the mark before ``stop``."""
    mark = text[stop - 1]
    if mark not in ".…":
        return False
    following = text[end : end + 40].lstrip()[:1]
    token = _LAST_TOKEN.search(text[max(0, stop - 41) : stop])
    word = token[0].lstrip(_OPENING).rstrip(".…") if token else ""
    if mark == "…" or text[max(0, stop - 2) : stop] == "..":
        return following.islower()
    if word.isdigit() or (len(word) == 1 and word.isalpha()):
        return following.islower() or (word.isalpha() and following.isalpha())
    return word.lower() in _ABBREVIATIONS
