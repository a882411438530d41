"""The final answer of a text, in a form in which two texts that answer alike are equal.

1. What the text announces, at the last place where it does: after ``####``, in ``\\boxed{}``, or in
   the sentence after "answer is".
2. Else the last number of its last line, where the line has words beside it.
3. Else the whole text.

A number loses its separators, currency sign and trailing zeros, anything else its case,
punctuation and white space. Self-consistency (``keep: vote``) counts these.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

NUMBER = r"-?\$?\d[\d,]*(?:\.\d+)?"
ANSWER_IS = r"answer\s++is:?\s*+"

# White space is matched possessively: a text of nothing else must not be tried in every division.
_SENTENCE = r"(?:[^\n.!?]|[.!?](?!\s|$))++"
_ANNOUNCED = re.compile(
    rf"####\s*+(?P<hashes>{_SENTENCE})|\\boxed\{{(?P<boxed>[^{{}}\n]++)\}}"
    rf"|{ANSWER_IS}(?P<said>{_SENTENCE})",
    re.IGNORECASE,
)
_NUMBER = re.compile(NUMBER)
_ALONE = re.compile(rf"\A[\s*_$(\[]*+({NUMBER})[\s*_%$)\].]*+")
_WORD = re.compile(r"[^\W\d_]{2}")


def final_answer(text: str) -> str:
    announced = [match[match.lastgroup or 0] for match in _ANNOUNCED.finditer(text)]
    if announced:
        return _plain(announced[-1])
    lines = text.strip().splitlines()
    last = lines[-1] if lines else ""
    numbers = _NUMBER.findall(last)
    if numbers and _WORD.search(last):
        return plain_number(numbers[-1])
    return _plain(text)


def commonest(texts: Sequence[str], scores: Sequence[float | None]) -> int:
    """The index of the text whose final answer most of them have; among those the one with the
    better score, then the earlier. Answers as common as each other are decided likewise. A text
    without words or numbers has no vote."""
    answers = [final_answer(text) for text in texts]
    votes = Counter(answer for answer in answers if answer)

    def rank(index: int) -> tuple[int, float, int]:
        return votes[answers[index]], scores[index] or 0.0, -index

    return max(range(len(texts)), key=rank)


def plain_number(text: str) -> str:
    """Without separators, currency signs and trailing zeros."""
    plain = text.replace(",", "").replace("$", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _plain(text: str) -> str:
    if number := _ALONE.fullmatch(text):
        return plain_number(number[1])
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if c.isalnum() or c in "+-*/=<>%" else " " for c in folded)
    return " ".join(kept.split())
