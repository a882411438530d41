"""Regular expressions in bounded time: the same matches as Python's, without its backtracking."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.refine.checks import read_check, verify
from redraft.server.refine.checks.pattern import Pattern, PatternError
from redraft.server.refine.checks.steps import Steps, TooManySteps

atoms = st.sampled_from(
    ["a", "b", "é", ".", r"\d", r"\w", r"\s", r"\W", "[ab]", "[^a]", "[a-c1]", r"[\d_]", r"\."]
)
anchors = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\Z"])
repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,1}", "{2,}", "*?", "+?", "{,2}"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.builds("(?:{})".format, inner)
    return (
        st.lists(inner, min_size=1, max_size=4).map("".join)
        | st.builds("({}|{})".format, inner, inner)
        | st.builds("{}{}".format, group, repeats)
        | st.builds("{}{}".format, anchors, inner)
        | st.builds("{}{}".format, inner, anchors)
    )


patterns = st.recursive(atoms, grown, max_leaves=8)
texts = st.text(alphabet="abcABé1_. \n", max_size=12)


@given(patterns, texts, st.sampled_from(["", "(?i)", "(?m)", "(?s)", "(?ims)"]))
def test_a_pattern_matches_where_pythons_does(pattern: str, text: str, flags: str) -> None:
    expected = re.search(flags + pattern, text) is not None
    assert (Pattern(flags + pattern).search(text, Steps()) is not None) == expected


@given(st.text(max_size=30) | st.text(alphabet="ab(|)[]{}*+?\\^$-,1:<>=!P", max_size=20))
def test_what_is_taken_is_what_python_takes(pattern: str) -> None:
    try:
        Pattern(pattern)
    except PatternError:
        return
    re.compile(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", r"a \( without a \)"),
        ("a)", r"a \) without a \("),
        ("[a", r"a \[ without a \]"),
        ("*a", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("a**", "a repetition is repeated"),
        ("a{3,1}", "bounds the wrong way round"),
        ("[z-a]", "bad character range"),
        (r"(a)\1", "not supported"),
        (r"a\q", "not supported"),
        ("(?=a)", "not supported"),
        ("(?<!a)", "not supported"),
        ("a{5000}", "too large"),
        ("((a{99}){99}){99}", "too large"),
        ("(" * 60 + ")" * 60, "deep"),
        ("a" * 1001, "at most 1000"),
    ],
)
def test_a_pattern_that_is_malformed_or_needs_backtracking_is_refused(
    pattern: str, message: str
) -> None:
    with pytest.raises(PatternError, match=message):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 30_000 + "b"),
        ("(a|aa)+$", "a" * 30_000 + "b"),
        ("(.*)*(.*)*(.*)*x", "a" * 30_000),
        (r"(\w+\s?)*$", "word " * 6000 + "!"),
        ("a?" * 90 + "a" * 90, "a" * 90),
        ("(?i)[\x00-\U0010ffff]{200}x", "\u0130" * 30_000),
        ("(a|b)*a(a|b){150}c", "ab" * 15_000),
        ("((){1000}){1000}x", "a" * 30_000),
    ],
)
def test_a_hostile_pattern_ends_soon(pattern: str, text: str) -> None:
    """Python's own takes hours for the first of these. The limit is loose: a fraction of a second
    of work, on a machine that may be busy."""
    check = read_check({"kind": "regex", "pattern": pattern})
    started = time.process_time()
    verify(check, text)
    assert time.process_time() - started < 5


def test_a_search_that_takes_too_many_steps_says_so() -> None:
    pattern = Pattern("(a|b)*a(a|b){150}c")
    with pytest.raises(TooManySteps):
        pattern.search("ab" * 15_000, Steps(10_000))
    finding = verify(read_check({"kind": "regex", "pattern": "(a|b)*a(a|b){150}c"}), "ab" * 100_000)
    assert (finding.passed, finding.found) == (False, "too long to be checked")


def test_the_match_is_the_one_that_ends_first() -> None:
    assert Pattern("b+").search("aabbb", Steps()) == (2, 3)
    assert Pattern("x|aab").search("aabx", Steps()) == (0, 3)
