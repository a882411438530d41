"""Checks for upper and lower case."""

from __future__ import annotations

import re

from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed, passed
from redraft.server.refine.checks.counting import count_kind
from redraft.server.refine.checks.evidence import quote
from redraft.server.refine.checks.splitting import Text

_TOKEN = re.compile(r"[^\W_](?:[\w&./-]*[^\W_])?")


def _lower(response: Text, _: Arguments) -> Verified:
    for word in response.words:
        if word != word.lower():
            return failed(f"found {quote(word)}", "Write everything in lower case.")
    if not response.raw.islower():
        return failed("no letters", "Write the answer in lower-case letters.")
    return passed(f"begins {quote(response.stripped)}")


def _upper(response: Text, _: Arguments) -> Verified:
    for word in response.words:
        if word != word.upper():
            return failed(f"found {quote(word)}", "Write everything in capital letters.")
    if not response.raw.isupper():
        return failed("no letters", "Write the answer in capital letters.")
    return passed(f"begins {quote(response.stripped)}")


def _sentence_case(response: Text, _: Arguments) -> Verified:
    for sentence in response.sentences:
        first = next((letter for letter in sentence if letter.isalnum()), "")
        if first.islower():
            return failed(f"found {quote(sentence)}", "Begin every sentence with a capital letter.")
    return passed("every sentence begins with a capital letter")


def _title_case(response: Text, _: Arguments) -> Verified:
    for word in response.raw.split():
        first = next((letter for letter in word if letter.isalpha()), "")
        if first.islower():
            return failed(f"found {quote(word)}", "Begin every word with a capital letter.")
    return passed(f"begins {quote(response.stripped)}")


CASE = (
    Kind(
        "lowercase",
        lambda _: "no capital letters",
        _lower,
        example={},
        right="we meet in paris.",
        wrong="We meet in Paris.",
    ),
    Kind(
        "uppercase",
        lambda _: "all in capital letters",
        _upper,
        example={},
        right="WE MEET IN PARIS.",
        wrong="WE meet in PARIS.",
    ),
    Kind(
        "sentence_case",
        lambda _: "every sentence begins with a capital letter",
        _sentence_case,
        example={},
        right="It is late. Let us go.",
        wrong="It is late. let us go.",
    ),
    Kind(
        "title_case",
        lambda _: "every word begins with a capital letter",
        _title_case,
        example={},
        right="The Old Man And The Sea",
        wrong="The Old Man and the Sea",
    ),
    count_kind(
        "capital_words",
        "word in capital letters",
        "words in capital letters",
        lambda response, _: [word for word in _TOKEN.findall(response.raw) if word.isupper()],
        example={"at_least": 2},
        right="Do NOT touch the RED wire.",
        wrong="Do NOT touch the red wire.",
    ),
)
