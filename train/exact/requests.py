"""What a chat asks the exact critic or the exact judge for.

The critic's requests are the server's own (server/refine/asking.py) and the trainer's Table 1;
the judge's is the one ``redraft bench winrate judge`` sends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.server.engine.base import Message
from redraft.server.refine.asking import FEEDBACK_REQUEST, REFINEMENT_REQUEST
from redraft.train.critics import TABLE_1

EXPECTED = (
    "a request for feedback or a refinement as Redraft's server or trainer writes it, or for a "
    "comparison as 'redraft bench winrate judge' does; POST /v1/judge judges one response"
)


class NotUnderstood(ValueError):
    """The chat is none of the requests that are answered here."""

    def __init__(self, got: str) -> None:
        super().__init__(f"got {got}, expected {EXPECTED}")


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Feedback, a refinement or both are wanted for one response."""

    instruction: str
    response: str
    feedback: bool
    refinement: bool


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """The name of the better of two answers is wanted."""

    instruction: str
    names: tuple[str, str]
    answers: tuple[str, str]


def read(messages: Sequence[Message]) -> ReviewRequest | ComparisonRequest:
    given = [message for message in messages if message.role != "system"]
    if not given:
        raise NotUnderstood("no message of a user")
    first, last = given[0].content, given[-1].content
    if found := _COMPARISON.search(last):
        names = (found["first"], found["second"])
        return ComparisonRequest(found["instruction"], names, (found["one"], found["other"]))
    if len(given) == 3 and last.strip() == REFINEMENT_REQUEST.strip():
        return _review(_FEEDBACK, first, feedback=False, refinement=True)
    if len(given) > 1:
        raise NotUnderstood(f"{len(given)} messages, the last of them {_shown(last)}")
    if _TABLE_1.fullmatch(last.strip()):
        return _review(_TABLE_1, last, feedback=True, refinement=True)
    return _review(_FEEDBACK, last, feedback=True, refinement=False)


def _review(pattern: re.Pattern[str], text: str, feedback: bool, refinement: bool) -> ReviewRequest:
    found = pattern.fullmatch(text.strip())
    if not found:
        raise NotUnderstood(_shown(text))
    # Of a conversation, its last user message is the instruction.
    instruction = found["instruction"].rpartition("[user]\n")[2]
    return ReviewRequest(instruction, found["response"], feedback, refinement)


def _pattern(template: str) -> re.Pattern[str]:
    """Reads what ``template.format(...)`` wrote."""
    parts = re.split(r"\{(\w+)\}", template.strip())
    texts = (f"(?P<{p}>.*?)" if place % 2 else re.escape(p) for place, p in enumerate(parts))
    return re.compile("".join(texts), re.DOTALL)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


_FEEDBACK, _TABLE_1 = _pattern(FEEDBACK_REQUEST), _pattern(TABLE_1)
_COMPARISON = re.compile(
    r"^## Instruction\n(?P<instruction>.*?)\n\n"
    r"## Answer of model (?P<first>\S+)\n(?P<one>.*?)\n\n"
    r"## Answer of model (?P<second>\S+)\n(?P<other>.*?)\n\n"
    r"## Your task\n",
    re.DOTALL | re.MULTILINE,
)
