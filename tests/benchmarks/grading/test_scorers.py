"""Reading an answer out of a text takes time in proportion to its length, whatever is in it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks.agreement import read_side
from redraft.benchmarks.grading.scorers import bbh_answer, gsm8k_answer, squad_f1
from redraft.benchmarks.output.report_html import NUMBER
from redraft.server.refine.final_answer import final_answer

READERS: dict[str, Callable[[str], object]] = {
    "gsm8k": gsm8k_answer,
    "bbh": bbh_answer,
    "vote": final_answer,
    "squad": lambda text: squad_f1(text, ("a b",)),
    "transcript": read_side,
    "cell": NUMBER.fullmatch,
}
TEXTS: dict[str, Callable[[int], str]] = {
    "a mark and spaces": lambda n: "####" + " " * n,
    "an announcement and spaces": lambda n: "the answer is" + " " * n + "x",
    "half an announcement and spaces": lambda n: "answer" + " " * n,
    "a line's mark and line ends": lambda n: "A:" + "\n" * n,
    "marks": lambda n: "#" * n,
    "marks, spaces and currency": lambda n: "####  $ " * (n // 8),
    "announcements": lambda n: "answer is " * (n // 10),
    "digits and a line end": lambda n: "1" * n + "\n",
    "commas and digits": lambda n: "1," * (n // 2) + "\n",
    "turns": lambda n: "\n\nHuman: " * (n // 9),
}


def seconds(read: Callable[[str], object], text: str) -> float:
    """Processor time, the least of several, so that other work on the machine does not count."""
    took = []
    for _ in range(5):
        began = time.process_time()
        read(text)
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_four_times_the_text_takes_no_more_than_about_four_times_as_long(
    reader: str, text: str
) -> None:
    read, make = READERS[reader], TEXTS[text]
    shorter = seconds(read, make(2_000))
    longer = seconds(read, make(8_000))
    # In proportion to the square it would be 16 times. Below a millisecond it is no matter.
    assert longer < max(9 * shorter, 0.001)


@pytest.mark.parametrize("text", ["#### $5", "####  $ -5", "A: $$5", "answer \n is: $ 5", "####5"])
def test_white_space_and_currency_before_a_number_change_nothing(text: str) -> None:
    number = gsm8k_answer(text)
    assert number is not None
    assert number.removeprefix("-") == "5"
