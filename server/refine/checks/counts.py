"""Checks that count the parts of a response: words, sentences, paragraphs, characters and more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redraft.server.refine.checks.arguments import text, whole
from redraft.server.refine.checks.bounds import Bounds
from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed, passed
from redraft.server.refine.checks.counting import count_kind
from redraft.server.refine.checks.evidence import counted, quote
from redraft.server.refine.checks.splitting import Text

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_EMOJI = re.compile("[\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001faff☀-➿]")


def _asks(sentence: str) -> bool:
    return sentence.rstrip("\"'\u201d\u2019)*_ ").endswith("?")


def _paragraphs(response: Text, arguments: Arguments) -> Sequence[str]:
    """Between separators; a separator at the beginning or the end separates nothing."""
    separator = arguments.get("separator")
    if separator is None:
        return response.paragraphs
    parts = [part.strip() for part in response.raw.split(separator)]
    first, last = not parts[0], len(parts) > 1 and not parts[-1]
    return parts[first : len(parts) - last]


def _sentence_words(response: Text, arguments: Arguments) -> Verified:
    """Each sentence has so many words."""
    bounds = Bounds.of(arguments)
    for sentence in response.sentences:
        count = len(Text(sentence).words)
        if not bounds.allow(count):
            advice = "Split this sentence." if bounds.excess(count) else "Lengthen this sentence."
            return failed(f"{counted(count, 'word', 'words')} in {quote(sentence)}", advice)
    return passed(counted(len(response.sentences), "sentence", "sentences"))


def _long_words(response: Text, arguments: Arguments) -> Verified:
    most = arguments["at_most"]
    if long := [word for word in response.words if len(word) > most]:
        return failed(f"{quote(long[0])} has {len(long[0])} letters", "Use a shorter word.")
    longest = max(map(len, response.words), default=0)
    return passed(f"the longest word has {longest} letters")


COUNTS = (
    count_kind(
        "words",
        "word",
        "words",
        lambda response, _: response.words,
        quoted=False,
        example={"at_least": 5, "at_most": 8},
        right="The sea is calm this morning.",
        wrong="The sea is calm.",
    ),
    count_kind(
        "sentences",
        "sentence",
        "sentences",
        lambda response, _: response.sentences,
        quoted=False,
        example={"exactly": 2},
        right="Dr. Lee is in. She can see you now.",
        wrong="She can see you now.",
    ),
    count_kind(
        "paragraphs",
        "paragraph",
        "paragraphs",
        _paragraphs,
        quoted=False,
        arguments=(
            text("separator", "what separates them; left out: a blank line", required=False),
        ),
        example={"exactly": 2},
        right="The first.\n\nThe second.",
        wrong="The first.\nThe second.",
    ),
    count_kind(
        "characters",
        "character",
        "characters",
        lambda response, _: response.stripped,
        quoted=False,
        example={"at_most": 12},
        right="A short text",
        wrong="A somewhat longer text",
    ),
    count_kind(
        "lines",
        "line",
        "lines",
        lambda response, _: response.lines,
        quoted=False,
        example={"between": [2, 3]},
        right="Roses are red,\nviolets are blue.",
        wrong="Roses are red.",
    ),
    count_kind(
        "unique_words",
        "different word",
        "different words",
        lambda response, _: list(dict.fromkeys(word.lower() for word in response.words)),
        quoted=False,
        example={"at_least": 4},
        right="Tea, coffee, water, milk.",
        wrong="Tea, tea, tea, tea.",
    ),
    count_kind(
        "questions",
        "question",
        "questions",
        lambda response, _: [each for each in response.sentences if _asks(each)],
        example={"at_least": 1},
        right="It is late. Shall we go?",
        wrong="It is late. Let us go.",
    ),
    count_kind(
        "numbers",
        "number",
        "numbers",
        lambda response, _: _NUMBER.findall(response.raw),
        example={"at_least": 2},
        right="In 1969, 3 men flew to the moon.",
        wrong="Some men flew to the moon.",
    ),
    count_kind(
        "emojis",
        "emoji",
        "emojis",
        lambda response, _: _EMOJI.findall(response.raw),
        example={"at_most": 0},
        right="Well done!",
        wrong="Well done! 🎉",
    ),
    Kind(
        "words_per_sentence",
        lambda arguments: f"{Bounds.of(arguments).in_words('word', 'words')} in every sentence",
        _sentence_words,
        example={"at_most": 6},
        right="The sun rose. Birds sang in the trees.",
        wrong="The sun rose while birds sang in the trees.",
        bounded=True,
    ),
    Kind(
        "word_length",
        lambda arguments: f"no word longer than {arguments['at_most']} letters",
        _long_words,
        example={"at_most": 5},
        right="We walk home.",
        wrong="We are wandering home.",
        arguments=(whole("at_most", "letters of the longest word", least=1),),
    ),
)
