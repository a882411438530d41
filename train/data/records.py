"""The records that travel from stage to stage, and their form on disk: JSON lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import read_trace

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
        content = json.dumps([[m.role, m.content] for m in self.messages], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


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
        return _fields_json(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Lesson:
        return cls(**_fields(row, "draft_ids"))


@dataclass(frozen=True, slots=True)
class PreferencePair:
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
        return _fields_json(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> PreferencePair:
        return cls(**_fields(row, "chosen_ids", "rejected_ids"))


def _fields_json(record: Lesson | PreferencePair) -> dict[str, Any]:
    content = {each.name: getattr(record, each.name) for each in fields(record)}
    messages = [message.to_json() for message in record.messages]
    return content | {"messages": messages, "meta": dict(record.meta)}


def _fields(row: Mapping[str, Any], *token_ids: str) -> dict[str, Any]:
    messages = tuple(map(Message.from_json, row["messages"]))
    if not all(isinstance(each.content, str) for each in messages):
        raise TypeError("a message whose content is no text")
    for name in ("draft", "feedback", "refinement", "chosen", "rejected"):
        if not isinstance(row.get(name, ""), str):
            raise TypeError(f"{name} is {type(row[name]).__name__}, expected text")
    return {**row, "messages": messages} | {name: tuple(row.get(name, ())) for name in token_ids}


def read_lessons(path: Path) -> Iterator[Lesson]:
    return _some(path, _read(path, Lesson.from_json, "a lesson"), "lessons")


def read_pairs(path: Path) -> Iterator[PreferencePair]:
    return _some(path, _read(path, PreferencePair.from_json, "a pair"), "pairs")


def read_traces(path: Path) -> Iterator[Trace]:
    """The traces of a file, or of all .jsonl files of a folder (a server's trace store), oldest
    first."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"no .jsonl files in {path}")
    traces = (trace for f in files for trace in _read(f, read_trace, "a trace", torn_end=True))
    return _some(path, traces, "traces")


def _some(path: Path, records: Iterable[T], what: str) -> Iterator[T]:
    """The records; FileError at their end when there was none."""
    none = True
    for record in records:
        none = False
        yield record
    if none:
        raise jsonl.FileError(f"{path} holds no {what}")


def _read(
    path: Path, from_json: Callable[[jsonl.Row], T], what: str, torn_end: bool = False
) -> Iterator[T]:
    for line in jsonl.lines(path, torn_end=torn_end):
        try:
            yield from_json(line.row())
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise line.error(f"{what} ({error!r})") from error
