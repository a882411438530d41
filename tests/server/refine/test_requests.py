"""The words of the prompted style, and an operator's own."""

from __future__ import annotations

import re

import pytest

from redraft.server.refine.requests import Requests


def test_braces_in_the_texts_stay_text() -> None:
    request = Requests().for_feedback("Print {response} and {x}.", "{instruction} {0} {")
    assert "Print {response} and {x}." in request
    assert "{instruction} {0} {" in request


def test_braces_that_are_no_placeholder_stay_text() -> None:
    requests = Requests(feedback='Answer {"a": {}} to {instruction}: {response}')
    asked = requests.for_feedback("Go", "Gone")
    assert asked.startswith('Answer {"a": {}} to [begin ')
    assert "\nGo\n" in asked
    assert "\nGone\n" in asked


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"feedback": "Judge {response}."}, "no placeholder {instruction}"),
        ({"feedback": "Judge {instruction}."}, "no placeholder {response}"),
        ({"feedback": "{instruction} {response} {answer}"}, "has the placeholder {answer}"),
        ({"refinement": "Better, by {feedback}, {score}!"}, "has the placeholder {score}"),
        ({"refinement": "Better!"}, "no placeholder {feedback}"),
    ],
)
def test_a_placeholder_that_is_unknown_or_missing_is_refused(
    words: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        Requests(**words)
