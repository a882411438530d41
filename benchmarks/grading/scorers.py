"""Right or wrong on GSM8K, BBH and TyDiQA: reading a final answer out of a text, and scoring it.

Each scorer gives the published accuracies on the published outputs exactly; ``redraft bench tasks
verify`` shows it. A text with no answer in it is wrong: that is what these tasks measure.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from redraft.server.refine.final_answer import ANSWER_IS, NUMBER, plain_number

# "#### 18" and "A: 18" as GSM8K writes it, "the answer is 18" as chain-of-thought prompts do. White
# space is matched possessively: a text of nothing else must not be tried in every division.
_FINAL_NUMBER = re.compile(rf"(?:####|^A:|answer\s++is:?)\s*+(?:\$\s*+)?({NUMBER})", re.I | re.M)
_ANY_NUMBER = re.compile(NUMBER)
_ANSWER_IS = re.compile(ANSWER_IS, re.I)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def gsm8k_answer(text: str) -> str | None:
    """The number a solution ends with: the one it announces, else the last in it."""
    announced = _FINAL_NUMBER.findall(text)
    numbers = announced[-1:] or _ANY_NUMBER.findall(text)[-1:]
    return plain_number(numbers[0]) if numbers else None


def gsm8k_right(solution: str, truth: str) -> bool:
    number = gsm8k_answer(solution)
    return number is not None and number == gsm8k_answer(truth)


def bbh_answer(text: str) -> str:
    """What follows the last "answer is", else the whole text, without the full stop."""
    return _ANSWER_IS.split(text)[-1].strip().removesuffix(".").strip()


def bbh_right(text: str, target: str) -> bool:
    """Exact match, upper and lower case included, as BBH scores it."""
    return bbh_answer(text) == target


def squad_f1(text: str, truths: Sequence[str]) -> float:
    """Word overlap with the nearest of the right answers, as SQuAD 1.1 defines it."""
    return max(_f1(text, truth) for truth in truths)


def _f1(text: str, truth: str) -> float:
    words, right = _words(text), _words(truth)
    shared = (Counter(words) & Counter(right)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(words), shared / len(right)
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> list[str]:
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return _ARTICLES.sub(" ", kept).split()
