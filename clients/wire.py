"""What travels between a client and a Redraft server: requests, answers, events, errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypedDict

# One text, or a chat whose last user turn is to be answered.
Instruction = str | Sequence[Mapping[str, str]]


class SamplingOptions(TypedDict, total=False):
    """How one phase samples."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    max_tokens: int


class RefineOptions(TypedDict, total=False):
    """How to refine; the server decides whatever is left out."""

    response: str  # an existing response to improve
    max_iterations: int
    good_enough: int  # the score that ends refining
    keep: Literal["best", "last", "vote"]
    drafts: int
    combine: Literal["best", "candidates"]  # refine the best draft, or all of them into one answer
    subset: int  # candidates for each refinement that combines them, drawn at random
    feedback: str  # the caller's own, for the first iteration
    feedback_by: str  # "model", "checks", "off", or the name of a critic
    critic: str  # an engine the server knows by this name
    checks: list[dict[str, Any]] | Literal["auto"]  # what a program verifies on each response
    feedback_votes: int  # feedbacks on each response; the majority decides
    token_budget: int
    deadline_ms: int
    draft: SamplingOptions
    feedback_sampling: SamplingOptions
    refinement: SamplingOptions
    trace: bool
    temperature: float
    max_tokens: int
    stop: str | list[str]
    seed: int
    response_format: dict[str, Any]


class RedraftError(Exception):
    """The server refused, failed or could not be reached."""

    def __init__(
        self, message: str, status: int = 0, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status  # 0: no answer at all, or an error inside a stream
        self.code = code
        self.param = param  # the field of the request that was wrong


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of all phases together; all but the answer's are reasoning tokens."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            content["prompt_tokens"],
            content["completion_tokens"],
            content["completion_tokens_details"]["reasoning_tokens"],
            content["prompt_tokens_details"]["cached_tokens"],
        )


@dataclass(frozen=True, slots=True)
class Refined:
    """An answer and how it came about."""

    id: str
    model: str
    answer: str
    stop_reason: str
    iterations: int
    kept: int  # 0: the draft, k: the refinement of iteration k
    scores: tuple[int | None, ...]
    usage: Usage
    trace: Mapping[str, Any] | None  # only when the request set trace

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            content["id"],
            content["model"],
            content["answer"],
            content["stop_reason"],
            content["iterations"],
            content["kept"],
            tuple(content["scores"]),
            Usage.of(content["usage"]),
            content.get("trace"),
        )


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a model or critic wrote about a response."""

    text: str
    weaknesses: str
    suggestions: str
    score: int | None  # None: no score could be read

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            content["feedback"], content["weaknesses"], content["suggestions"], content["score"]
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a streamed refinement; ``fields`` is all of its JSON."""

    type: str  # refine.draft.delta, refine.feedback.done, ..., refine.completed
    fields: Mapping[str, Any]

    @property
    def phase(self) -> str:
        """draft, feedback or refinement; empty for events about the whole."""
        name = self.type.split(".")[1]
        return name if name in ("draft", "feedback", "refinement") else ""

    @property
    def text(self) -> str:
        """The text just written; empty when the event is not a delta."""
        return str(self.fields["delta"]) if self.type.endswith(".delta") else ""

    @property
    def refined(self) -> Refined | None:
        """The whole answer, on the last event."""
        return Refined.of(self.fields["refine"]) if self.type == "refine.completed" else None


def request_body(instruction: Instruction, **fields: Any) -> dict[str, Any]:
    """The body of a request; fields that are None are left out."""
    body: dict[str, Any] = (
        {"prompt": instruction} if isinstance(instruction, str) else {"messages": list(instruction)}
    )
    return body | {name: value for name, value in fields.items() if value is not None}


class EventLines:
    """The lines of a stream, from its bytes as they arrive. A line ends at a line feed alone: what
    httpx takes for line ends, U+2028 for one, may stand in a model's text."""

    def __init__(self) -> None:
        self._unfinished = b""

    def read(self, piece: bytes) -> list[str]:
        """The lines that end in this piece."""
        *lines, self._unfinished = (self._unfinished + piece).split(b"\n")
        return [line.decode().removesuffix("\r") for line in lines]


def event_of(line: str) -> Event | None:
    """The event in one line of a stream; None for blank lines, comments and the end mark."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    fields = json.loads(line.removeprefix("data: "))
    if error := fields.get("error"):
        raise RedraftError(error["message"], 0, error.get("code"), error.get("param"))
    return Event(fields["type"], fields)


def error_of(status: int, content: bytes) -> RedraftError:
    """OpenAI's error shape, or the body of whatever answered in the server's place."""
    try:
        error = json.loads(content)["error"]
        return RedraftError(error["message"], status, error.get("code"), error.get("param"))
    except (ValueError, KeyError, TypeError):
        text = content.decode("utf-8", "replace").strip()[:200]
        return RedraftError(f"HTTP {status}: {text or 'no reason given'}", status)
