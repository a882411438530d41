"""The records that travel from stage to stage, and their form on disk: JSON lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from redraft.server import jsonl
from redraft.server.engine.base import Message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Example:
    """One instruction and where it came from; for base training, with its response."""

    messages: tuple[Message, ...]
    origin: str = ""  # FILE:LINE, or DATASET:ROW
    response: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)  # what an exact critic needs to know

    @property
    def id(self) -> str:
        said = json.dumps([[m.role, m.content] for m in self.messages], ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {"messages": messages_json(self.messages)}
        if self.response is not None:
            content["response"] = self.response
        return content | {"origin": self.origin, "meta": dict(self.meta)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Example:
        return cls(
            messages_from(row["messages"]),
            row.get("origin", ""),
            row.get("response"),
            row.get("meta") or {},
        )


@dataclass(frozen=True, slots=True)
class Lesson:
    """A draft, the critic's feedback on it, and the refinement: what stage one trains on."""

    messages: tuple[Message, ...]
    draft: str
    feedback: str
    refinement: str
    draft_score: int | None = None  # both scores are given independently, each in a fresh call
    refinement_score: int | None = None
    draft_ids: tuple[int, ...] = ()  # as sampled; valid for the tokenizer named below
    tokenizer: str = ""  # sha256 of tokenizer.json; "" = unknown, encode the text
    cut: str = ""  # the phase that ended at its token limit, if one did
    critic: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "messages": messages_json(self.messages),
            "draft": self.draft,
            "feedback": self.feedback,
            "refinement": self.refinement,
            "draft_score": self.draft_score,
            "refinement_score": self.refinement_score,
            "draft_ids": list(self.draft_ids),
            "tokenizer": self.tokenizer,
            "cut": self.cut,
            "critic": self.critic,
            "meta": dict(self.meta),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Lesson:
        rest = {k: v for k, v in row.items() if k not in ("messages", "draft_ids")}
        ids = tuple(row.get("draft_ids", ()))
        return cls(messages=messages_from(row["messages"]), draft_ids=ids, **rest)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one instruction, the better one first: what stage two trains on."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    chosen_score: float | None = None
    rejected_score: float | None = None
    chosen_ids: tuple[int, ...] = ()
    rejected_ids: tuple[int, ...] = ()
    tokenizer: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "messages": messages_json(self.messages),
            "chosen": self.chosen,
            "rejected": self.rejected,
            "chosen_score": self.chosen_score,
            "rejected_score": self.rejected_score,
            "chosen_ids": list(self.chosen_ids),
            "rejected_ids": list(self.rejected_ids),
            "tokenizer": self.tokenizer,
            "meta": dict(self.meta),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Pair:
        lists = ("messages", "chosen_ids", "rejected_ids")
        rest = {k: v for k, v in row.items() if k not in lists}
        return cls(
            messages=messages_from(row["messages"]),
            chosen_ids=tuple(row.get("chosen_ids", ())),
            rejected_ids=tuple(row.get("rejected_ids", ())),
            **rest,
        )


def messages_json(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def messages_from(rows: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message(row["role"], row["content"]) for row in rows)


def read_lessons(path: Path) -> Iterator[Lesson]:
    return _read(path, Lesson.from_json, "a lesson")


def read_pairs(path: Path) -> Iterator[Pair]:
    return _read(path, Pair.from_json, "a pair")


def _read(path: Path, from_json: Callable[[jsonl.Row], T], what: str) -> Iterator[T]:
    for line in jsonl.lines(path):
        try:
            yield from_json(line.row())
        except (KeyError, TypeError) as error:
            raise line.error(f"{what} ({error})") from error
