"""Kinds that are never trained on, kept to see whether the idea was learnt or the kinds."""

from __future__ import annotations

from redraft.train.constraints.wordings.kind import kind, nothing, number, one_of, together

_LETTER = together(number(3, 5, 8, 10), one_of("letter", tuple("aeiourstnlcdm")))
_LANGUAGES = {"German": "de", "French": "fr", "Spanish": "es"}

UNSEEN = (
    kind(
        "postscript",
        "end",
        one_of("marker", ("P.S.", "P.P.S")),
        lambda s: {"kind": "postscript", "marker": s["marker"]},
        "Add a postscript at the end that starts with {marker}",
        "After the text, put a postscript beginning with {marker}",
    ),
    kind(
        "capital_words_at_least",
        "case",
        number(1, 2, 3, 4),
        lambda s: {"kind": "capital_words", "at_least": s["count"]},
        "Write at least {n} words in all capital letters.",
        "There should be {n} or more words in ALL CAPS.",
    ),
    kind(
        "capital_words_at_most",
        "case",
        number(2, 3, 5),
        lambda s: {"kind": "capital_words", "at_most": s["count"]},
        "Use at most {n} words in all capital letters.",
        "Words in ALL CAPS should appear fewer than {above} times.",
    ),
    kind(
        "letter_at_least",
        "letter",
        _LETTER,
        lambda s: {"kind": "letter", "letter": s["letter"], "at_least": s["count"]},
        "The letter {letter} should appear at least {n} times.",
        "Use the letter {letter} {n} or more times.",
    ),
    kind(
        "letter_at_most",
        "letter",
        _LETTER,
        lambda s: {"kind": "letter", "letter": s["letter"], "at_most": s["count"]},
        "The letter {letter} should appear at most {n} times.",
        "Use the letter {letter} fewer than {above} times.",
    ),
    kind(
        "one_of",
        "start end frame layout words sentences",
        nothing,
        lambda _: {"kind": "contains_any", "texts": ["It is true.", "It is false."]},
        'Answer with one of these: "It is true." or "It is false."',
        'Choose from the following: "It is true.", "It is false."',
    ),
    kind(
        "language",
        "language",
        one_of("language", tuple(_LANGUAGES)),
        lambda s: {"kind": "language", "language": _LANGUAGES[s["language"]]},
        "Answer in {language} only.",
        "Your entire response should be in {language}.",
    ),
    kind(
        "sentence_contains",
        "keywords",
        one_of("word", ("water", "friend", "winter", "music")),
        lambda s: {"kind": "sentence_contains", "sentence": 2, "text": s["word"]},
        'The second sentence must contain the word "{word}".',
        'Use "{word}" in the second sentence.',
    ),
)
