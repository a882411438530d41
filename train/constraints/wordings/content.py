"""Constraints on the words and characters of a response."""

from __future__ import annotations

from random import Random

from redraft.train.constraints.wordings.kind import (
    Slots,
    kind,
    nothing,
    number,
    one_of,
    together,
    words,
)

_ONE = words(1, 1)
_OFTEN = together(_ONE, number(2, 2, 3, 3, 4, 5))
_SELDOM = together(_ONE, number(1, 2, 3))


def _without(characters: str) -> dict[str, object]:
    return {"kind": "without", "characters": characters}


def _occurs(slots: Slots, **bounds: int) -> dict[str, object]:
    return {"kind": "occurrences", "text": slots["first"], **bounds}


def _phrase(random: Random) -> Slots:
    one, other = random.sample(words(2, 2)(random)["words"], 2)
    return {"phrase": random.choice((f"the {one} and the {other}", f"{one} or {other}"))}


CONTENT = (
    kind(
        "contains",
        "keywords",
        words(1, 3),
        lambda s: {"kind": "contains", "texts": s["words"]},
        "Include the keywords {quoted}.",
        "Use the words {quoted} in your response.",
        "The text must mention {quoted}.",
        "Make sure that {quoted} can be found in the answer.",
        "Your response has to contain: {plain}.",
        "Work in the words {quoted}.",
        weight=2.0,
    ),
    kind(
        "contains_phrase",
        "keywords",
        _phrase,
        lambda s: {"kind": "contains", "texts": [s["phrase"]]},
        'Include the phrase "{phrase}".',
        'The words "{phrase}" must appear in this order.',
        'Use the exact phrase "{phrase}" somewhere.',
    ),
    kind(
        "contains_any",
        "keywords",
        words(2, 3),
        lambda s: {"kind": "contains_any", "texts": s["words"]},
        "Use at least one of the words {plain}.",
        "Mention one of these: {plain}.",
        "One of the words {quoted}, at least, must be in the text.",
    ),
    kind(
        "word_at_least",
        "keywords",
        _OFTEN,
        lambda s: _occurs(s, at_least=s["count"]),
        'Use the word "{first}" at least {n} times.',
        'The word "{first}" should appear {n} or more times.',
        'Mention "{first}" no fewer than {n} times.',
        "Make sure the word {first} occurs at least {n} times.",
        'Say "{first}" {n} times or more.',
        weight=1.8,
    ),
    kind(
        "word_at_most",
        "seldom",
        _SELDOM,
        lambda s: _occurs(s, at_most=s["count"]),
        'Use the word "{first}" at most {n} times.',
        'The word "{first}" should appear fewer than {above} times.',
        'Do not use "{first}" more than {n} times.',
        "The word {first} may occur less than {above} times.",
    ),
    kind(
        "excludes",
        "forbidden",
        words(1, 4),
        lambda s: {"kind": "excludes", "texts": s["words"]},
        "Do not use the words {quoted}.",
        "Avoid the following words: {plain}.",
        "The text must not contain {quoted}.",
        "Leave out the keywords {quoted}.",
        "Write it without the words {plain}.",
        "None of these words may be in the answer: {plain}.",
        weight=0.6,
    ),
    kind(
        "no_commas",
        "comma",
        nothing,
        lambda _: _without(","),
        "Do not use any commas.",
        "Avoid commas in your whole response.",
        "Write it without commas.",
        "Your answer must not contain a single comma.",
        "Refrain from the use of commas.",
        "No commas are allowed.",
        "Leave out all commas.",
        weight=3.5,
    ),
    kind(
        "no_exclamation_marks",
        "exclamation",
        nothing,
        lambda _: _without("!"),
        "Do not use exclamation marks.",
        "Your response should have no exclamation marks.",
        "Write it without the mark !",
    ),
    kind(
        "no_question_marks",
        "question end",
        nothing,
        lambda _: _without("?"),
        "Do not use question marks.",
        "There must be no question mark in the text.",
        "Ask nothing: no question marks.",
    ),
    kind(
        "no_colons",
        "colon",
        nothing,
        lambda _: _without(":;"),
        "Use neither colons nor semicolons.",
        "Do not use colons or semicolons.",
        "The text must be free of : and ;",
    ),
    kind(
        "no_hyphens",
        "hyphen layout",
        nothing,
        lambda _: _without("-"),
        "Do not use hyphens.",
        "Avoid every hyphen and dash.",
        "The character - must not be in your answer.",
    ),
    kind(
        "no_digits",
        "digit layout",
        nothing,
        lambda _: {"kind": "numbers", "at_most": 0},
        "Do not use any digits.",
        "Write it without numerals.",
        "No digits (0-9) may be in your answer.",
    ),
    kind(
        "no_parentheses",
        "parenthesis",
        nothing,
        lambda _: _without("()"),
        "Do not use parentheses.",
        "Avoid round brackets.",
        "There should be no ( or ) in the text.",
    ),
    kind(
        "no_apostrophes",
        "apostrophe",
        nothing,
        lambda _: _without("'"),
        "Do not use apostrophes.",
        "Write no contractions and no other apostrophes.",
        "The response must be free of apostrophes.",
    ),
    kind(
        "no_full_stops",
        "stop sentences end words",
        nothing,
        lambda _: _without("."),
        "Do not use full stops.",
        "Avoid periods in your response.",
        "No period (.) may be used.",
        weight=0.6,
    ),
    kind(
        "no_emojis",
        "emoji",
        nothing,
        lambda _: {"kind": "emojis", "at_most": 0},
        "Do not use emojis.",
        "No emojis, please.",
        "Keep it free of emojis.",
        weight=0.3,
    ),
    kind(
        "exclamations_at_least",
        "exclamation",
        number(2, 3, 4, 5),
        lambda s: {"kind": "letter", "letter": "!", "at_least": s["count"]},
        "Use at least {n} exclamation marks.",
        "There should be {n} or more exclamation marks.",
        "Show excitement with no fewer than {n} exclamation marks.",
    ),
    kind(
        "questions_at_least",
        "question",
        number(1, 1, 2),
        lambda s: {"kind": "questions", "at_least": s["count"]},
        "Ask at least {n} questions in your text.",
        "Include {n} or more questions.",
        "The response needs no fewer than {n} sentences that end with a question mark.",
    ),
    kind(
        "hashtags_at_least",
        "end",
        number(2, 3, 4),
        lambda s: {"kind": "letter", "letter": "#", "at_least": s["count"]},
        "Add at least {n} hashtags at the end.",
        "Finish with {n} or more hashtags, each with a #.",
        "There must be no fewer than {n} hashtags (#).",
    ),
    kind(
        "no_letter",
        "letter",
        one_of("letter", ("x", "z", "q", "j", "k", "v")),
        lambda s: _without(s["letter"] + s["letter"].upper()),
        "Do not use the letter {letter}.",
        "No word may contain the letter {letter}.",
        'The letter "{letter}" is forbidden.',
        weight=0.7,
    ),
    kind(
        "no_repetition",
        "repetition",
        nothing,
        lambda _: {"kind": "no_repetition"},
        "Do not write the same sentence twice.",
        "No sentence may be repeated.",
        "Every sentence should be there only once.",
        weight=0.7,
    ),
)
