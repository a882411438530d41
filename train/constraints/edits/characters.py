"""Edits of single characters and words: punctuation, case, highlighting."""

from __future__ import annotations

import re

from redraft.server.refine.checks.bounds import Bounds
from redraft.server.refine.checks.check import Arguments
from redraft.server.refine.checks.table import count
from redraft.train.constraints.edits.parts import sentence_spans, without_sentences
from redraft.train.constraints.wordings.kind import SPELLED

_CONTRACTIONS = (
    (r"\bcan't\b", "cannot"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"'re\b", " are"),
    (r"'ve\b", " have"),
    (r"'ll\b", " will"),
    (r"'m\b", " am"),
    (r"\b(it|that|there|he|she|what|let)'s\b", r"\1 is"),
)
_REPLACEMENTS = {"!": ".", "?": ".", ";": ".", ":": "", "-": " ", "(": "", ")": ""}
_CONTENT_WORD = re.compile(r"(?<![\w*\[#<'-])[A-Za-z][a-z]{4,}(?![\w*\]>'-])")


def without(response: str, arguments: Arguments) -> str | None:
    """Characters taken out, or put in other words where that is usual."""
    characters = arguments["characters"]
    if any(each.isalpha() for each in characters):
        return _without_letter(response, characters)
    text = response
    for each in characters:
        if each == ",":
            text = re.sub(r"(?<=\d),(?=\d)", "", text)
            text = re.sub(r",(?=\S)", " ", text).replace(",", "")
        elif each == "'":
            for pattern, words in _CONTRACTIONS:
                text = re.sub(pattern, words, text, flags=re.IGNORECASE)
            text = text.replace(each, "")
        elif each == "-":
            text = re.sub(r"^[^\S\n]*-+[^\S\n]*", "", text, flags=re.MULTILINE)
            text = re.sub(r"\s*-+\s*", " ", text)
        else:
            text = text.replace(each, _REPLACEMENTS.get(each, ""))
    return re.sub(r"(?<=\S) {2,}", " ", text)


def without_digits(response: str, _: Arguments) -> str:
    text = re.sub(r"^[^\S\n]*\d+[.)][^\S\n]*", "", response, flags=re.MULTILINE)
    text = re.sub(r"\b\d{1,2}\b", lambda number: _spelled(int(number[0])), text)
    return re.sub(r" *\d[\d,.]*(?=\D|$)", "", text)


def _spelled(number: int) -> str:
    return SPELLED[number] if number < len(SPELLED) else ""


def _without_letter(response: str, letters: str) -> str | None:
    spans = sentence_spans(response)
    unwanted = [
        number
        for number, (start, end) in enumerate(spans)
        if any(letter in response[start:end] for letter in letters)
    ]
    return without_sentences(response, unwanted) if len(unwanted) <= len(spans) // 2 else None


def lowercase(response: str, _: Arguments) -> str:
    return response.lower()


def uppercase(response: str, _: Arguments) -> str:
    return response.upper()


def title_case(response: str, _: Arguments) -> str:
    return re.sub(
        r"(?:(?<=\s)|\A)([^\w\s]*)([a-z])", lambda start: start[1] + start[2].upper(), response
    )


def _marked(response: str, missing: int, opening: str, closing: str) -> str | None:
    """So many more words of the response in marks: one of each sentence first."""
    places = [word.span() for word in _CONTENT_WORD.finditer(response)]
    lasts: dict[int, tuple[int, int]] = {}
    for number, (start, end) in enumerate(sentence_spans(response)):
        within = [place for place in places if start <= place[0] < end]
        if within:
            lasts[number] = max(within, key=lambda place: place[1] - place[0])
    chosen = [*lasts.values()][:missing]
    chosen += [place for place in places if place not in chosen][: missing - len(chosen)]
    if len(chosen) < missing:
        return None
    for start, end in sorted(chosen, reverse=True):
        response = f"{response[:start]}{opening}{response[start:end]}{closing}{response[end:]}"
    return response


def highlights(response: str, arguments: Arguments) -> str | None:
    if missing := Bounds.of(arguments).missing(count("highlights", response)):
        return _marked(response, missing, "*", "*")
    return response.replace("*", "")


def placeholders(response: str, arguments: Arguments) -> str | None:
    if missing := Bounds.of(arguments).missing(count("placeholders", response)):
        return _marked(response, missing, "[", "]")
    return re.sub(r"\[([^\n\[\]]*)\]", r"\1", response)


def letter(response: str, arguments: Arguments) -> str | None:
    """Exclamation marks in place of full stops; hashtags of the response's own words."""
    mark = arguments["letter"]
    missing = Bounds.of(arguments).missing(count("letter", response, arguments))
    if not missing:
        return None  # there are too many
    if mark == "#":
        words = dict.fromkeys(word[0].capitalize() for word in _CONTENT_WORD.finditer(response))
        tags = [f"#{word}" for word in words][:missing]
        return f"{response.rstrip()} {' '.join(tags)}" if len(tags) == missing else None
    if mark == "!":
        return re.sub(r"(?<=[a-z])\.(?=\s|\Z)", "!", response, count=missing)
    return None
