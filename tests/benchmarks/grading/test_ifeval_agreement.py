"""Checks against IFEval's own checkers, on 10,000 texts: how often both say the same.
Spans: benchmarks/grading/ifeval, docs/checks.md

With the bench extra installed, this writes the table of the page:

    python -m tests.benchmarks.grading.test_ifeval_agreement
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from redraft.benchmarks.grading.ifeval import checks_of
from redraft.benchmarks.grading.published_ifeval import PublishedIfeval
from redraft.server.refine.checks import verify_all
from redraft.server.refine.checks.splitting import Text
from tests.support.published_ifeval import published_ifeval
from tests.support.varied_texts import varied_texts

PAGE = Path(__file__).resolve().parents[3] / "docs" / "checks.md"
HEADER = "| IFEval's kind | texts | followed | same verdict |\n|---|---|---|---|\n"
TEXTS = 10_000
# Their languages are guessed by langdetect, which takes long: on every tenth text.
GUESSED = {
    "change_case:english_capital",
    "change_case:english_lowercase",
    "language:response_language",
}
Draw = random.Random
RELATIONS = ["at least", "less than"]


def near(draw: Draw, count: int) -> int:
    """So that about half of the texts follow."""
    return max(1, count + draw.randint(-1, 1))


def first_word(draw: Draw, text: Text) -> dict[str, Any]:
    paragraphs = [part for part in text.raw.split("\n\n") if part.strip()]
    number = draw.randrange(len(paragraphs)) + 1 if paragraphs else 1
    words = Text(paragraphs[number - 1]).words if paragraphs else []
    return {
        "num_paragraphs": max(number, near(draw, len(paragraphs))),
        "nth_paragraph": number,
        "first_word": draw.choice(words[:2] or ["a"]).lower(),
    }


ARGUMENTS: dict[str, Callable[[Draw, Text], dict[str, Any]]] = {
    "change_case:capital_word_frequency": lambda draw, text: {
        "capital_relation": draw.choice(RELATIONS),
        "capital_frequency": near(draw, sum(word.isupper() for word in text.words)),
    },
    "change_case:english_capital": lambda draw, text: {},
    "change_case:english_lowercase": lambda draw, text: {},
    "combination:repeat_prompt": lambda draw, text: {
        "prompt_to_repeat": draw.choice(["The sea is calm this morning.", "Why do we sleep?"])
    },
    "combination:two_responses": lambda draw, text: {},
    "detectable_content:number_placeholders": lambda draw, text: {
        "num_placeholders": near(draw, text.raw.count("["))
    },
    "detectable_content:postscript": lambda draw, text: {
        "postscript_marker": draw.choice(["P.S.", "P.P.S"])
    },
    "detectable_format:constrained_response": lambda draw, text: {},
    "detectable_format:json_format": lambda draw, text: {},
    "detectable_format:multiple_sections": lambda draw, text: {
        "section_spliter": draw.choice(["Section", "SECTION", "Day", "PARAGRAPH"]),
        "num_sections": draw.randint(1, 4),
    },
    "detectable_format:number_bullet_lists": lambda draw, text: {
        "num_bullets": near(draw, text.raw.count("\n* ") + text.raw.count("\n- "))
    },
    "detectable_format:number_highlighted_sections": lambda draw, text: {
        "num_highlights": near(draw, text.raw.count("*") // 2)
    },
    "detectable_format:title": lambda draw, text: {},
    "keywords:existence": lambda draw, text: {
        "keywords": draw.sample(["sea", "late", "school", "navy"], 2)
    },
    "keywords:forbidden_words": lambda draw, text: {
        "forbidden_words": [draw.choice(["sea", "all", "train", "school"])]
    },
    "keywords:frequency": lambda draw, text: {
        "relation": draw.choice(RELATIONS),
        "keyword": draw.choice(["the", "sea", "is"]),
        "frequency": near(draw, text.lowered.count("the")),
    },
    "keywords:letter_frequency": lambda draw, text: {
        "let_relation": draw.choice(RELATIONS),
        "letter": draw.choice("aeqz"),
        "let_frequency": near(draw, text.lowered.count("e")),
    },
    "language:response_language": lambda draw, text: {
        "language": draw.choice(["en", "fr", "de", "es", "ru", "hi", "kn"])
    },
    "length_constraints:nth_paragraph_first_word": first_word,
    "length_constraints:number_paragraphs": lambda draw, text: {
        "num_paragraphs": near(draw, text.raw.count("***") + 1)
    },
    "length_constraints:number_sentences": lambda draw, text: {
        "relation": draw.choice(RELATIONS),
        "num_sentences": near(draw, len(text.sentences)),
    },
    "length_constraints:number_words": lambda draw, text: {
        "relation": draw.choice(RELATIONS),
        "num_words": near(draw, len(text.words)),
    },
    "punctuation:no_comma": lambda draw, text: {},
    "startend:end_checker": lambda draw, text: {
        "end_phrase": draw.choice(["Is there anything else I can help with?", "yes."])
    },
    "startend:quotation": lambda draw, text: {},
}


def agreement(published: PublishedIfeval, texts: Iterable[str]) -> dict[str, Counter[str]]:
    """Of each kind: how many texts, how many follow by IFEval, and how many verdicts agree."""
    found = {kind: Counter[str]() for kind in ARGUMENTS}
    for index, text in enumerate(texts):
        draw, split = Draw(index), Text(text)
        for kind, arguments_of in ARGUMENTS.items():
            if kind in GUESSED and index % 10:
                continue
            arguments = arguments_of(draw, split)
            theirs = published.follows(kind, arguments, text)
            findings = verify_all(checks_of(kind, arguments), text)
            ours = all(finding.passed for finding in findings)
            found[kind].update(texts=1, followed=theirs, same=ours == theirs)
    return found


def table(found: dict[str, Counter[str]]) -> str:
    rows = [
        f"| {kind} | {count['texts']:,} | {count['followed']:,} "
        f"| {100 * count['same'] / count['texts']:.2f}% |"
        for kind, count in sorted(found.items())
    ]
    return HEADER + "\n".join(rows) + "\n"


def of_page() -> dict[str, float]:
    """The share of same verdicts that the page has for each kind."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(HEADER)
    rows = [line.split("|") for line in rest.partition("\n\n")[0].splitlines()]
    return {row[1].strip(): float(row[4].strip(" %")) for row in rows}


def test_the_page_has_every_kind_of_ifeval() -> None:
    assert of_page().keys() == ARGUMENTS.keys()


@pytest.mark.slow
def test_both_agree_as_often_as_the_page_says() -> None:
    found = agreement(published_ifeval(), varied_texts(TEXTS // 10))
    shares = {kind: 100 * count["same"] / count["texts"] for kind, count in found.items()}
    # A tenth of the texts of the page, so that it takes seconds.
    assert {kind: share for kind, share in shares.items() if share < of_page()[kind] - 3} == {}


if __name__ == "__main__":
    print(table(agreement(PublishedIfeval(), varied_texts(TEXTS))))
