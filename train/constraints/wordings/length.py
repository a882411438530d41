"""Constraints on how long a response is, and into how many parts it falls."""

from __future__ import annotations

from random import Random

from redraft.train.constraints.wordings.kind import Slots, kind, number, numbered

_WORDS_LEAST = number(*range(40, 401, 10), 25, 75, 125, 175, 225, 450, 500)
_WORDS_MOST = number(*range(30, 251, 10), 15, 25, 75, 125)
_SENTENCES_LEAST = number(*range(2, 26))
_SENTENCES_MOST = number(*range(1, 13))
_PARTS = number(2, 2, 3, 3, 4, 5, 6)


def _range(random: Random) -> Slots:
    least = random.randrange(30, 160, 10)
    return {"least": least, "most": least + random.randrange(20, 100, 10)}


def _least_words(slots: Slots) -> dict[str, object]:
    return {"kind": "words", "at_least": slots["count"]}


LENGTH = (
    kind(
        "words_at_least",
        "words sentences",
        _WORDS_LEAST,
        _least_words,
        "Write at least {n} words.",
        "Your response should have {n} or more words.",
        "The answer must be no shorter than {n} words.",
        "Use more than {below} words.",
        "Make it {n}+ words long.",
        "It has to run to at least {n} words.",
        "Aim for a minimum of {n} words.",
        weight=1.6,
    ),
    kind(
        "words_at_most",
        "words sentences parts",
        _WORDS_MOST,
        lambda s: {"kind": "words", "at_most": s["count"]},
        "Use at most {n} words.",
        "Keep it under {above} words.",
        "Your answer should contain fewer than {above} words.",
        "Limit yourself to {n} words.",
        "No more than {n} words, please.",
        "The whole response must be less than {above} words.",
        "Stay within {n} words.",
        weight=1.6,
    ),
    kind(
        "words_between",
        "words sentences parts",
        _range,
        lambda s: {"kind": "words", "between": [s["least"], s["most"]]},
        "Write between {least} and {most} words.",
        "The length should be {least} to {most} words.",
        "Use no fewer than {least} and no more than {most} words.",
        "Your text must have {least}-{most} words.",
    ),
    kind(
        "sentences_at_least",
        "words sentences",
        _SENTENCES_LEAST,
        lambda s: {"kind": "sentences", "at_least": s["count"]},
        "Write at least {n} sentences.",
        "The response must have {n} or more sentences.",
        "Use more than {below} sentences.",
        "Your answer should be at least {n} sentences long.",
        "Give no fewer than {n} sentences.",
        weight=1.4,
    ),
    kind(
        "sentences_at_most",
        "words sentences parts",
        _SENTENCES_MOST,
        lambda s: {"kind": "sentences", "at_most": s["count"]},
        "Use at most {n} sentences.",
        "Answer in fewer than {above} sentences.",
        "Your response should contain less than {above} sentences.",
        "Keep it to {n} sentences or fewer.",
        "Do not write more than {n} sentences.",
        "Limit the number of sentences to {n}.",
        weight=1.6,
    ),
    kind(
        "sentences_exactly",
        "words sentences parts",
        number(1, 2, 3, 4, 5, 6),
        lambda s: {"kind": "sentences", "exactly": s["count"]},
        "Write exactly {n} sentences.",
        "The number of sentences in your response must be {n}.",
        "Answer in {n} sentences, no more and no fewer.",
        "Your reply should consist of exactly {n} sentences.",
    ),
    kind(
        "paragraphs_divided",
        "parts layout stars",
        _PARTS,
        lambda s: {"kind": "paragraphs", "separator": "***", "exactly": s["count"]},
        "There should be {n} paragraphs. Separate paragraphs with the markdown divider: ***",
        "Write exactly {n} paragraphs, with *** between them.",
        "Your answer must have {n} parts, and *** on a line of its own between the parts.",
        "Divide the text into {n} sections with the divider ***.",
        "Use *** to separate the text into exactly {n} paragraphs.",
        "Give me {n} paragraphs, divided by three asterisks (***).",
        weight=2.0,
    ),
    kind(
        "paragraphs_blank_line",
        "parts layout",
        _PARTS,
        lambda s: {"kind": "paragraphs", "exactly": s["count"]},
        "Write exactly {n} paragraphs, separated by a blank line.",
        "There should be {n} paragraphs. Paragraphs are separated by two line breaks.",
        "Your response must consist of {n} paragraphs with an empty line between them.",
        "Split the answer into {n} paragraphs, using two new lines between paragraphs.",
        weight=1.2,
    ),
    kind(
        "paragraphs_at_least",
        "parts layout",
        number(2, 3, 4),
        lambda s: {"kind": "paragraphs", "at_least": s["count"]},
        "Write at least {n} paragraphs.",
        "Use {n} or more paragraphs, with blank lines between them.",
        "Your text needs no fewer than {n} paragraphs.",
    ),
    kind(
        "one_paragraph",
        "parts layout",
        lambda random: numbered(random, 1),
        lambda _: {"kind": "paragraphs", "exactly": 1},
        "Write it as a single paragraph.",
        "Everything must be in one paragraph.",
        "Do not break the text into several paragraphs.",
    ),
    kind(
        "paragraph_starts",
        "parts layout start",
        lambda random: {**_PARTS(random), "place": random.randint(1, 2), "word": _word(random)},
        lambda s: {"kind": "paragraph_starts", "paragraph": s["place"], "word": s["word"]},
        "Write {n} paragraphs separated by blank lines. Paragraph {place} must start with the "
        'word "{word}".',
        'Use {n} paragraphs with two new lines between them, and begin paragraph {place} with "'
        '{word}".',
        'There should be {n} paragraphs, and paragraph {place} has to begin with "{word}".',
    ),
    kind(
        "characters_at_most",
        "words sentences parts",
        number(100, 140, 200, 250, 280, 300, 400, 500),
        lambda s: {"kind": "characters", "at_most": s["count"]},
        "Use at most {n} characters.",
        "The response must not be longer than {n} characters.",
        "It has to fit into {n} characters.",
    ),
    kind(
        "lines_exactly",
        "parts layout sentences",
        number(2, 3, 4, 5, 6, 8),
        lambda s: {"kind": "lines", "exactly": s["count"]},
        "Write exactly {n} lines.",
        "Your answer must have {n} lines.",
        "Give it in {n} lines, one below the other.",
    ),
    kind(
        "short_sentences",
        "sentences",
        number(15, 20, 25),
        lambda s: {"kind": "words_per_sentence", "at_most": s["count"]},
        "No sentence may have more than {n} words.",
        "Use short sentences of at most {n} words each.",
        "Keep every sentence within {n} words.",
    ),
)


def _word(random: Random) -> str:
    return random.choice(("Today", "First", "Imagine", "However", "People", "Summary", "Remember"))
