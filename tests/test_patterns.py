"""No text makes a regular expression slow: time grows with the text's length, not with its square.
Spans: server, train, benchmarks, clients"""

from __future__ import annotations

import importlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]  # the parser of patterns has no public name
from typing import Any

import pytest

from redraft.server.refine.srt_format import FormatError, parse_score, parse_sections

ROOT = Path(__file__).resolve().parents[1]
SHORT, LONG = 200, 800
SLOW_S = 0.002  # a linear pattern takes a fiftieth of it for a text of LONG
PUMPS = (" ", "\n", "\t", " \n", "1", "1.", "a", "#", "*", "_", "-", ".", ",", "[", "<", '"', "/")
TAILS = ("", "!", "\n!", "x")
# Over our own or the operator's text alone, never over a client's, a model's or a file's.
OWN_TEXT = {
    "redraft.train.exact.requests": "the templates of the workbench's own critic",
    "redraft.server.build.repository": "names of models and of their files",
    "redraft.server.engine.vllm_engine.arguments": "the command line",
}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every regular expression that a module holds under a name."""
    for package in ("server", "train", "benchmarks", "clients"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "re.compile(" not in path.read_text(encoding="utf-8"):
                continue
            name = ".".join(("redraft", *path.relative_to(ROOT).with_suffix("").parts))
            if name in OWN_TEXT:
                continue
            for held, value in vars(importlib.import_module(name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{name}.{held}", value


def literals(tree: Any) -> Iterator[str]:
    """The words a pattern looks for, in its order."""
    word = ""
    for operation, argument in tree:
        kind = str(operation)
        if kind == "LITERAL":
            word += chr(argument)
            continue
        if word:
            yield word
        word = ""
        if kind == "SUBPATTERN" or kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            yield from literals(argument[-1])
        elif kind == "ATOMIC_GROUP":
            yield from literals(argument)
        elif kind == "BRANCH":
            for branch in argument[1]:
                yield from literals(branch)
    if word:
        yield word


def attacks(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Texts of any length: a word of the pattern, one thing over and over, and an end that does
    not match."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    words = list(dict.fromkeys(literals(_parser.parse(text, pattern.flags & ~re.DEBUG))))[:12]
    heads = ["", *words, *(f"{a} {b}" for a, b in itertools.pairwise(words))]
    for head, pump, tail in itertools.product(heads, (*PUMPS, *words), TAILS):
        yield lambda length, head=head, pump=pump, tail=tail: (  # type: ignore[misc]
            head + pump * (length // len(pump)) + tail
        )


def seconds(work: Callable[[], object]) -> float:
    """The processor time of the fastest of three attempts."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("pattern", [pytest.param(p, id=name) for name, p in patterns()])
def test_a_text_four_times_as_long_takes_four_times_as_long(pattern: re.Pattern[Any]) -> None:
    def scan(text: str) -> object:
        subject: Any = text if isinstance(pattern.pattern, str) else text.encode()
        return [pattern.match(subject), sum(1 for _ in pattern.finditer(subject))]

    for attack in attacks(pattern):
        long = seconds(lambda: scan(attack(LONG)))  # noqa: B023
        if long > SLOW_S:
            short = seconds(lambda: scan(attack(SHORT)))  # noqa: B023
            assert long < 8 * short, f"{attack(8)!r} grows faster than its length"


@pytest.mark.parametrize(
    "text",
    [
        "score" + " " * 20_000,
        "score" + " *" * 10_000 + "x",
        "overall " * 5_000,
        "Overall Score: [[" + " " * 20_000,
        "score 7" + " " * 20_000 + "x",
        "score: " + "7" * 20_000,
        "score: 7/" + "1" * 20_000,
        " " * 20_000 + "#" * 20_000,
        "1." + "\n" * 20_000,
    ],
    ids=lambda text: f"{text[:12]!r} and so on",
)
def test_hostile_feedback_is_read_or_refused_at_once(text: str) -> None:
    def read() -> None:
        parse_sections(text)
        try:
            parse_score(text)
        except FormatError:
            return

    # One pass over 20,000 characters; the square of it took minutes.
    plain = "All is well. " * 2_000
    assert seconds(read) < 50 * seconds(lambda: parse_sections(plain)) + SLOW_S
