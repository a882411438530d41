"""Checks for what a response contains, how often, and what it must not contain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from redraft.server.refine.checks.arguments import character, text, texts, whole
from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed, passed
from redraft.server.refine.checks.counting import count_kind
from redraft.server.refine.checks.evidence import around, counted, joined, listed, quote
from redraft.server.refine.checks.splitting import Text

_NAMES = {",": "commas", ".": "full stops", "!": "exclamation marks", "?": "question marks"}
_NAMES |= {";": "semicolons", ":": "colons", "-": "hyphens", '"': "quotation marks"}


@lru_cache(maxsize=512)
def _as_word(phrase: str) -> re.Pattern[str]:
    """The phrase where it stands as words of its own, in any case."""
    return re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.IGNORECASE)


@lru_cache(maxsize=512)
def _anywhere(phrase: str) -> re.Pattern[str]:
    return re.compile(re.escape(phrase), re.IGNORECASE)


def _contains(response: Text, arguments: Arguments) -> Verified:
    there: list[str] = []
    missing: list[str] = []
    for phrase in arguments["texts"]:
        (there if _anywhere(phrase).search(response.raw) else missing).append(phrase)
    if missing:
        return failed(f"{listed(missing)} missing", f"Use {listed(missing)}.")
    return passed(f"found {listed(there)}")


def _contains_any(response: Text, arguments: Arguments) -> Verified:
    for phrase in arguments["texts"]:
        if match := _anywhere(phrase).search(response.raw):
            return passed(f"found {around(response.raw, *match.span())}")
    return failed("found none of them", f"Use {listed(arguments['texts'], 'or')}.")


def _excludes(response: Text, arguments: Arguments) -> Verified:
    for phrase in arguments["texts"]:
        if match := _as_word(phrase).search(response.raw):
            evidence = f"found {around(response.raw, *match.span())}"
            return failed(evidence, f"Do without {quote(phrase)}.")
    return passed("found none of them")


def _without(response: Text, arguments: Arguments) -> Verified:
    match = re.compile(f"[{re.escape(arguments['characters'])}]").search(response.raw)
    if match is None:
        return passed("found none")
    evidence = f"found {around(response.raw, *match.span())}"
    return failed(evidence, f"Remove all {_characters(arguments)}.")


def _characters(arguments: Arguments) -> str:
    return joined(
        [_NAMES.get(each, quote(each)) for each in dict.fromkeys(arguments["characters"])]
    )


def _occurrences(response: Text, arguments: Arguments) -> Sequence[str]:
    return _anywhere(arguments["text"]).findall(response.raw)


def _letters(response: Text, arguments: Arguments) -> Sequence[str]:
    letter: str = arguments["letter"]
    return letter * response.lowered.count(letter.lower())


def _in_order(response: Text, arguments: Arguments) -> Verified:
    at = 0
    for phrase in arguments["texts"]:
        match = _anywhere(phrase).search(response.raw, at)
        if match is None:
            where = "after the ones before it" if at else "anywhere"
            return failed(f"no {quote(phrase)} {where}", f"Bring {quote(phrase)} in its place.")
        at = match.end()
    return passed(f"found {listed(arguments['texts'])}")


def _repeated(response: Text, _: Arguments) -> Verified:
    seen: set[str] = set()
    for sentence in response.sentences:
        plain = " ".join(sentence.lower().split())
        if plain in seen:
            return failed(f"{quote(sentence)} is there twice", "Say each thing once.")
        seen.add(plain)
    return passed("no sentence is there twice")


def _sentence_contains(response: Text, arguments: Arguments) -> Verified:
    number, phrase = arguments["sentence"], arguments["text"]
    if number > len(response.sentences):
        evidence = counted(len(response.sentences), "sentence", "sentences")
        return failed(evidence, "Write more sentences.")
    sentence = response.sentences[number - 1]
    if _anywhere(phrase).search(sentence):
        return passed(f"found {quote(sentence)}")
    return failed(f"found {quote(sentence)}", f"Use {quote(phrase)} in sentence {number}.")


_EXAMPLE = {"texts": ["tide", "moon"]}
CONTAINING = (
    Kind(
        "contains",
        lambda arguments: f"contains {listed(arguments['texts'])}",
        _contains,
        example=_EXAMPLE,
        right="The Moon draws the tides.",
        wrong="The moon draws the water.",
        arguments=(texts("texts", "what must be there, in any case, within words too"),),
    ),
    Kind(
        "contains_any",
        lambda arguments: f"contains {listed(arguments['texts'], 'or')}",
        _contains_any,
        example=_EXAMPLE,
        right="The moon is up.",
        wrong="The sun is up.",
        arguments=(texts("texts", "one of these must be there"),),
    ),
    Kind(
        "contains_in_order",
        lambda arguments: f"contains {listed(arguments['texts'])}, in this order",
        _in_order,
        example={"texts": ["first", "then"]},
        right="First mix, then bake.",
        wrong="Then bake, but first mix.",
        arguments=(texts("texts", "each after the one before it"),),
    ),
    Kind(
        "excludes",
        lambda arguments: f"does not contain {listed(arguments['texts'], 'or')}",
        _excludes,
        example={"texts": ["rock"]},
        right="A rocket is on the way.",
        wrong="A rock is in the way.",
        arguments=(texts("texts", "none of these may be there as words of their own"),),
    ),
    Kind(
        "without",
        lambda arguments: f"no {_characters(arguments)}",
        _without,
        example={"characters": ","},
        right="It was fun and easy.",
        wrong="It was fun, easy and short.",
        arguments=(text("characters", "none of these characters may be there"),),
    ),
    count_kind(
        "occurrences",
        lambda arguments: f"occurrence of {quote(arguments['text'])}",
        lambda arguments: f"occurrences of {quote(arguments['text'])}",
        _occurrences,
        quoted=False,
        arguments=(text("text", "what is counted, in any case, within words too"),),
        example={"text": "sea", "at_least": 2},
        right="The sea, the open sea.",
        wrong="The sea.",
    ),
    count_kind(
        "letter",
        lambda arguments: f"letter {quote(arguments['letter'])}",
        lambda arguments: f"letters {quote(arguments['letter'])}",
        _letters,
        quoted=False,
        arguments=(character("letter", "what is counted, in any case"),),
        example={"letter": "e", "at_most": 2},
        right="Every dog barks.",
        wrong="Every eel sleeps.",
    ),
    Kind(
        "sentence_contains",
        lambda arguments: f"sentence {arguments['sentence']} contains {quote(arguments['text'])}",
        _sentence_contains,
        example={"sentence": 2, "text": "rain"},
        right="It is grey. It may rain.",
        wrong="It may rain. It is grey.",
        arguments=(
            whole("sentence", "which one, from 1", least=1),
            text("text", "what must be in it, in any case"),
        ),
    ),
    Kind(
        "no_repetition",
        lambda _: "no sentence twice",
        _repeated,
        example={},
        right="It is late. Let us go.",
        wrong="It is late. It is late.",
    ),
)
