"""The form that prompted feedback is held to, so that it can be read from any model.

An engine that takes grammars writes the text itself: some short lines of weaknesses, some of
suggestions, a score. One that takes JSON schemas writes an object, which ``FormReader`` turns into
the same text while it arrives. Any other writes as it likes, and ``read_feedback`` is lenient.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, get_args

from redraft.server.engine.base import Constraint
from redraft.server.refine.limits import MOST_OF_FEEDBACK
from redraft.server.refine.srt_format import (
    HIGHEST_SCORE,
    LOWEST_SCORE,
    SCORE,
    SUGGESTIONS,
    WEAKNESSES,
)

# What keeps a model's feedback readable: its training, or what its engine is held to.
FormOrigin = Literal["trained", "grammar", "json_schema", "free_text"]
FORM_ORIGINS: tuple[FormOrigin, ...] = get_args(FormOrigin)

HEADING_TOKENS = 24  # of the three headings and the score
CHARACTERS = {1: 3, 2: 1}  # a token stands for, by attempt: prose has 4 or 5, other scripts less
LONGEST_LINE = 240  # characters: a small model that repeats itself does so within a line
SHORTEST_LINE = 12

_SCHEMA = {
    "type": "object",
    "properties": {
        "weaknesses": {"type": "string"},
        "suggestions": {"type": "string"},
        "score": {"type": "integer", "enum": list(range(LOWEST_SCORE, HIGHEST_SCORE + 1))},
    },
    "required": ["weaknesses", "suggestions", "score"],
    "additionalProperties": False,
}
SCHEMA = Constraint("json_schema", json.dumps(_SCHEMA))


@dataclass(frozen=True, slots=True)
class FeedbackForm:
    """Weaknesses, suggestions and a score."""

    def constraints(self, max_tokens: int | None, attempt: int = 1) -> tuple[Constraint, ...]:
        """The form in every way an engine may take, the strictest first. The grammar's lines are
        so short that the text ends within ``max_tokens``; a second attempt is shorter still."""
        return Constraint("grammar", grammar(max_tokens or MOST_OF_FEEDBACK, attempt)), SCHEMA

    def reader(self) -> FormReader:
        return FormReader()


def grammar(max_tokens: int, attempt: int = 1) -> str:
    """EBNF as xgrammar has it."""
    # Limits are rounded down to powers of two: engines keep the grammars they have compiled.
    tokens = 1 << (min(max_tokens, MOST_OF_FEEDBACK).bit_length() - 1)
    lines = max(1, min(3, tokens // 128))
    room = (tokens - HEADING_TOKENS) * CHARACTERS[min(attempt, 2)]
    longest = max(SHORTEST_LINE, min(LONGEST_LINE, room // (2 * lines)))
    return (
        f'root ::= "{WEAKNESSES}" line{{1,{lines}}} "\\n{SUGGESTIONS}" line{{1,{lines}}} '
        f'"\\n{SCORE} [[" score "]]"\n'
        f'line ::= "\\n- " [^ \\t\\r\\n] [^\\r\\n]{{8,{longest}}}\n'
        'score ::= "10" | [1-9]\n'
    )


# A value may still be arriving; a key that a value quotes has its quotation marks escaped.
_MEMBERS = re.compile(
    r'"(?P<name>weaknesses|suggestions)"\s*:\s*"(?P<text>(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*)'
    r'|"score"\s*:\s*(?P<score>\d+)(?=[\s,}])'
)
_HEADINGS = {"weaknesses": WEAKNESSES, "suggestions": SUGGESTIONS}


class FormReader:
    """Turns what an engine writes into readable feedback as it arrives: an object of the schema
    into the text it stands for; any other text stays as it is."""

    def __init__(self) -> None:
        self._written = self._shown = ""
        self.verbatim = False  # what is shown is what was written

    def push(self, text: str) -> str:
        """Add the next piece of a completion; return what it adds to the feedback."""
        if self.verbatim:
            return text
        self._written += text
        start = self._written.lstrip()[:1]
        if not start:
            return ""
        if start not in ("{", "`"):  # a server that only tries to keep to a schema may fence it
            return self._as_it_is()
        shown, self._shown = self._shown, _readable(self._written)
        return self._shown[len(shown) :]

    def rest(self) -> str:
        """What is left when the completion has ended: the score, which comes last wherever its
        member stood; everything, where no member was found."""
        if self.verbatim:
            return ""
        scores = [member["score"] for member in _MEMBERS.finditer(self._written) if member["score"]]
        if not (scores or self._shown):
            return self._as_it_is()
        line = f"{SCORE} [[{scores[-1]}]]" if scores else ""
        return f"\n{line}" if line and self._shown else line

    def _as_it_is(self) -> str:
        self.verbatim = True
        return self._written


def _readable(written: str) -> str:
    return "\n".join(
        f"{_HEADINGS[member['name']]} {_unescaped(member['text'])}"
        for member in _MEMBERS.finditer(written)
        if member["name"]
    )


def _unescaped(text: str) -> str:
    # Half of a character of two escapes: the other half is still to come.
    text = re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}$", "", text)
    try:
        value: str = json.loads(f'"{text}"', strict=False)
    except ValueError:  # the engine does not hold its text to JSON
        return text
    return value
