"""Splits a response into words, sentences, paragraphs and lines, in time linear in its length.

Words are runs of letters, digits and underscores ("don't" is two). A sentence ends with a full
stop, a question mark or an exclamation mark, with the quotation marks and brackets after it,
before white space. After an ellipsis, an abbreviation ("etc.") or a single letter that does not
begin its line, one ends only before a capitalised word that often begins one; after a title ("Dr.")
none ends; after a number none ends before a lower-case letter. The end of a line alone ends none.
These are rules for what IFEval's splitter, Punkt, has learned; docs/checks.md says how often both
agree. Paragraphs are separated by a line without text.
"""

from __future__ import annotations

import re
from functools import cached_property

# ``re`` takes the vowel signs of Hindi, Arabic and others for no part of a word.
_MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200c\u200d"
)
WORD = re.compile(f"[\\w{_MARKS}]+")
_SENTENCE_END = re.compile("(?<=[.?!…])[\"'\u201d\u2019»)\\]}*_]*(?=\\s)|\\Z")
_BLANK = re.compile(r"\n[^\S\n]*\n")
_LAST_TOKEN = re.compile(r"\S{1,40}\Z")
_FIRST_WORD = re.compile(r"\s{0,10}[^\w\n]{0,10}([^\W\d_]+)")

# Before a name: they end no sentence.
_NAMING = "capt col dr gen gov hon lt maj mr mrs ms no prof rep rev sen sgt st"
_TITLES = frozenset(_NAMING.split())
# They may end one, before a word that often begins one.
_SHORT = (
    "a.d a.m adm al apr ariz aug ave b.c bros ca calif cf co colo conn corp d.c dec e.g ed est etc "
    "feb fig i.e inc jan jr ltd m.d mass mich minn mt n.y nov oct p.m pa ph.d pp sep sept sr tenn "
    "u.k u.n u.s u.s.a va vol vs wash"
)
_ABBREVIATIONS = frozenset(_SHORT.split())
_COMMON = (
    "a all also although an and another any as at because before both but by can could do during "
    "each even every finally first for from further has have he her here his how however i if in "
    "instead is it its let many maybe meanwhile moreover most my no not now of often on once one "
    "or other our perhaps please second she should since so some sometimes such that the their "
    "then there therefore these they this those though through thus to today under until was we "
    "well were what when where whether which while who why will with would yes yet you your"
)
_STARTERS = frozenset(_COMMON.split())
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
    following = _FIRST_WORD.match(text, end)
    begins = following is not None and following[1][0].isupper()
    starts = begins and following is not None and following[1].lower() in _STARTERS
    if mark == "…" or text[max(0, stop - 2) : stop] == "..":
        return not starts
    token = _LAST_TOKEN.search(text, max(0, stop - 41), stop)
    word = token[0].lstrip(_OPENING).rstrip(".").lower() if token else ""
    if word.isdigit():
        return text[end : end + 10].lstrip()[:1].islower()
    if len(word) == 1 and word.isalpha():
        return following is not None and not starts and not _begins_line(text, stop - 2)
    return word in _TITLES or (word in _ABBREVIATIONS and following is not None and not starts)


def _begins_line(text: str, at: int) -> bool:
    """Whether only white space is before it, looking back no further than a line's margin."""
    before = text[max(0, at - 20) : at]
    return not before.rpartition("\n")[2].strip() and ("\n" in before or at <= 20)
