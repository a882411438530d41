"""Chats as requests to the exact critic or the exact judge.

The critic's requests are the server's own (server/refine/requests.py) and the trainer's Table 1;
the judge's is the one ``redraft bench winrate judge`` sends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.server.engine.base import Message
from redraft.server.refine.requests import FEEDBACK_REQUEST, REFINEMENT_REQUEST
from redraft.train.critics import TABLE_1

EXPECTED = (
    "a request for feedback or a refinement as Redraft's server or trainer writes it, or for a "
    "comparison as 'redraft bench winrate judge' does; POST /v1/judge judges one response"
)


class NotUnderstood(ValueError):
    """The chat is no request the critic or the judge can answer."""

    def __init__(self, got: str) -> None:
        super().__init__(f"got {got}, expected {EXPECTED}")


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """For feedback on one response, a refinement of it, or both."""

    instruction: str
    response: str
    feedback: bool
    refinement: bool


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """For the name of the better of two answers."""

    instruction: str
    names: tuple[str, str]
    answers: tuple[str, str]


def read(messages: Sequence[Message]) -> ReviewRequest | ComparisonRequest:
    chat = [message for message in messages if message.role != "system"]
    if not chat:
        raise NotUnderstood("no message of a user")
    last = chat[-1].content
    if match := _COMPARISON.search(last):
        names = (match["first"], match["second"])
        return ComparisonRequest(match["instruction"], names, (match["one"], match["other"]))
    if len(chat) >= 3 and _REFINEMENT.fullmatch(last.strip()):
        asked, response = chat[-3].content, chat[-2].content
        return ReviewRequest(asked, response, feedback=False, refinement=True)
    if len(chat) > 1:
        raise NotUnderstood(f"{len(chat)} messages, the last of them {_shown(last)}")
    if _TABLE_1.fullmatch(last.strip()):
        return _review(_TABLE_1, last, feedback=True, refinement=True)
    return _review(_FEEDBACK, last, feedback=True, refinement=False)


def _review(pattern: re.Pattern[str], text: str, feedback: bool, refinement: bool) -> ReviewRequest:
    match = pattern.fullmatch(text.strip())
    if not match:
        raise NotUnderstood(_shown(text))
    # Of a conversation, its last user message is the instruction.
    *_, instruction = _USER.split(match["instruction"])
    return ReviewRequest(instruction, match["response"], feedback, refinement)


def _pattern(template: str) -> re.Pattern[str]:
    """A pattern that matches what the server writes from this template."""
    parts = re.split(r"\{(\w+)\}", template.strip())
    texts = (_GROUPS[p] if place % 2 else re.escape(p) for place, p in enumerate(parts))
    return re.compile("".join(texts), re.DOTALL)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


_USER = re.compile(r"^\[user [0-9a-f]+\]\n", re.MULTILINE)
_GROUPS = {
    "instruction": r"\[begin (?P<fence>[0-9a-f]+)\]\n(?P<instruction>.*?)\n\[end (?P=fence)\]",
    "response": r"\[begin (?P=fence)\]\n(?P<response>.*?)\n\[end (?P=fence)\]",
    "feedback": "(?P<feedback>.*?)",
    "fence": "(?P=fence)",
}
_FEEDBACK, _TABLE_1 = _pattern(FEEDBACK_REQUEST), _pattern(TABLE_1)
_REFINEMENT = _pattern(REFINEMENT_REQUEST)
_COMPARISON = re.compile(
    r"^## Instruction\n(?P<instruction>.*?)\n\n"
    r"## Answer of model (?P<first>\S+)\n(?P<one>.*?)\n\n"
    r"## Answer of model (?P<second>\S+)\n(?P<other>.*?)\n\n"
    r"## Your task\n",
    re.DOTALL | re.MULTILINE,
)
