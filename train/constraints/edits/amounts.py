"""Edits that take sentences away: too many, too long, forbidden, repeated."""

from __future__ import annotations

import re

from redraft.server.refine.checks.bounds import Bounds
from redraft.server.refine.checks.check import Arguments
from redraft.server.refine.checks.table import count
from redraft.train.constraints.edits.parts import sentence_spans, without_sentences


def shortened(kind: str, response: str, arguments: Arguments) -> str | None:
    """The response up to the last sentence that is within the bound; None: the first is not."""
    bounds = Bounds.of(arguments)
    if bounds.most is None:
        return None
    for _, end in reversed(sentence_spans(response)):
        kept = _without_empty_item(response[:end])
        num_kept = count(kind, kept)
        if num_kept <= bounds.most:
            return kept if bounds.allow(num_kept) and kept.strip() else None
    return None


def _without_empty_item(text: str) -> str:
    """A list item of which only the number was kept goes, too."""
    return re.sub(r"\n\s*(?:\d{1,3}[.)]|[*\-])\s*\Z", "", text.rstrip())


def excludes(response: str, arguments: Arguments) -> str | None:
    """Without the sentences that have a forbidden word."""
    pattern = "|".join(map(re.escape, arguments["texts"]))
    return _dropped(response, re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE), 0)


def seldom(response: str, arguments: Arguments) -> str | None:
    """Without the sentences in which a word occurs once too often."""
    most = Bounds.of(arguments).most
    pattern = re.compile(re.escape(arguments["text"]), re.IGNORECASE)
    return None if most is None else _dropped(response, pattern, most)


def _dropped(response: str, pattern: re.Pattern[str], allowed: int) -> str | None:
    spans, unwanted, seen = sentence_spans(response), [], 0
    for number, (start, end) in enumerate(spans):
        num_occurrences = len(pattern.findall(response[start:end]))
        if num_occurrences and seen + num_occurrences > allowed:
            unwanted.append(number)
        else:
            seen += num_occurrences
    if len(unwanted) > 0.6 * len(spans):
        return None  # little would be left
    return without_sentences(response, unwanted)


def no_repetition(response: str, _: Arguments) -> str:
    seen: set[str] = set()
    unwanted = []
    for number, (start, end) in enumerate(sentence_spans(response)):
        plain = " ".join(response[start:end].lower().split())
        if plain in seen:
            unwanted.append(number)
        seen.add(plain)
    return without_sentences(response, unwanted)


def short_sentences(response: str, arguments: Arguments) -> str | None:
    """Long sentences end at an "and" or "but" between clauses."""
    most = Bounds.of(arguments).most
    if most is None:
        return None
    text = response
    for start, end in reversed(sentence_spans(response)):
        sentence = response[start:end]
        if count("words", sentence) > most:
            text = text[:start] + _split(sentence, most) + text[end:]
    return text


def _split(sentence: str, most: int) -> str:
    def ended(clause: re.Match[str]) -> str:
        return f". {clause[1].upper()}"

    split = re.sub(r", (?:and|but|so|while) ([a-z])", ended, sentence)
    if max(count("words", part) for part in split.split(". ")) > most:
        split = re.sub(r"(?:,|;)? (?:and|but|which|because|so that) ([a-z])", ended, sentence)
    return split
