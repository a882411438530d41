"""Instructions from data sets and files of the usual shapes, single-turn, picked by hash.

How to add a shape: write a function from a row to its messages, add it to ``SHAPES`` with the
keys it is recognised by, and add a row to the table in tests/train/data/test_instructions.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.server.options import ConfigError
from redraft.train.data.records import Example

_SHOWN_BAD_ROWS = 10
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


class BadRow(ValueError):
    """A row that holds no usable instruction."""


@dataclass(slots=True)
class Instructions:
    """What was read: the examples picked, and what became of every other row."""

    examples: list[Example] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)  # origin, reason
    num_rows: int = 0
    num_multi_turn: int = 0
    num_duplicates: int = 0
    num_not_picked: int = 0

    def summary(self) -> str:
        lines = [
            f"instructions: {self.num_rows} rows: {len(self.examples)} picked, "
            f"{self.num_not_picked} not picked, {self.num_multi_turn} multi-turn, "
            f"{self.num_duplicates} duplicates, {len(self.bad)} bad"
        ]
        lines += [f"  bad row {origin}: {why}" for origin, why in self.bad[:_SHOWN_BAD_ROWS]]
        if len(self.bad) > _SHOWN_BAD_ROWS:
            lines.append(f"  ... and {len(self.bad) - _SHOWN_BAD_ROWS} more bad rows")
        return "\n".join(lines)


def read(
    sources: tuple[str, ...],
    shape: str = "auto",
    limit: int | None = None,
    skip: int = 0,
    seed: int = 0,
) -> Instructions:
    """Single-turn instructions of all ``sources``.

    They come in the order of a hash of seed and content, so the pick does not depend on the
    order of the rows, and ``skip`` gives stage two instructions that stage one has not seen.
    """
    result = Instructions()
    examples: dict[str, Example] = {}
    for source in sources:
        for origin, row in rows(source, result):
            result.num_rows += 1
            try:
                example = to_example(row, origin, shape)
            except BadRow as error:
                result.bad.append((origin, str(error)))
                continue
            if example is None:
                result.num_multi_turn += 1
            elif example.id in examples:
                result.num_duplicates += 1
            else:
                examples[example.id] = example
    ordered = sorted(examples, key=lambda id: hashlib.sha256(f"{seed}/{id}".encode()).digest())
    picked = ordered[skip : None if limit is None else skip + limit]
    result.num_not_picked = len(ordered) - len(picked)
    result.examples = [examples[id] for id in picked]
    if not picked:
        why = f"; first bad row {': '.join(result.bad[0])}" if result.bad else ""
        names = ", ".join(sources)
        raise ConfigError(f"no instructions in {names}: none of {result.num_rows} rows{why}")
    return result


def to_example(row: jsonl.Row, origin: str, shape: str = "auto") -> Example | None:
    """The example a row holds; None when it is a conversation of several turns."""
    name = detect(row) if shape == "auto" else shape
    if name not in SHAPES:
        raise BadRow(f"unknown shape {name!r}; known shapes: {', '.join(SHAPES)}")
    messages = SHAPES[name][1](row)
    if not messages or not messages[0].content.strip():
        raise BadRow("the instruction is empty")
    if sum(m.role == "user" for m in messages) > 1:
        return None
    response = messages.pop().content if messages[-1].role == "assistant" else None
    if not messages or messages[-1].role != "user":
        raise BadRow("no user message to answer")
    meta = row.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise BadRow(f"meta is {type(meta).__name__}, expected an object")
    return Example(tuple(messages), origin, response, meta)


def detect(row: jsonl.Row) -> str:
    """The shape whose keys the row has."""
    for name, (keys, _) in SHAPES.items():
        if all(row.get(key) is not None for key in keys):
            return name
    needs = "; ".join(f"{n}: {', '.join(keys)}" for n, (keys, _) in SHAPES.items())
    raise BadRow(f"has {', '.join(sorted(row)) or 'no keys'}; known shapes need {needs}")


def _messages(row: jsonl.Row) -> list[Message]:
    messages = [_message(m, "role", "content") for m in _list(row, "messages")]
    if isinstance(row.get("response"), str):
        messages.append(Message("assistant", row["response"]))
    return messages


def _sharegpt(row: jsonl.Row) -> list[Message]:
    return [_message(m, "from", "value") for m in _list(row, "conversations")]


def _alpaca(row: jsonl.Row) -> list[Message]:
    instruction = _text(row, "instruction")
    if context := row.get("input"):
        instruction = f"{instruction}\n\n{context}"
    return _single(instruction, row.get("output", row.get("response")))


def _prompt(row: jsonl.Row) -> list[Message]:
    prompt = row["prompt"]
    if isinstance(prompt, list):
        return [_message(m, "role", "content") for m in prompt]
    return _single(_text(row, "prompt"), row.get("completion", row.get("response")))


def _question(row: jsonl.Row) -> list[Message]:
    return _single(_text(row, "question"), row.get("answer"))


# name: (the keys it is recognised by, how it is read); the first that fits counts
SHAPES: dict[str, tuple[tuple[str, ...], Callable[[jsonl.Row], list[Message]]]] = {
    "messages": (("messages",), _messages),
    "sharegpt": (("conversations",), _sharegpt),
    "alpaca": (("instruction",), _alpaca),
    "prompt": (("prompt",), _prompt),
    "question": (("question",), _question),
}
SHAPE_HELP = f"shape of the rows: auto, {', '.join(SHAPES)}"


def _single(instruction: str, response: Any) -> list[Message]:
    messages = [Message("user", instruction)]
    if isinstance(response, str) and response:
        messages.append(Message("assistant", response))
    return messages


def _list(row: jsonl.Row, key: str) -> list[Any]:
    value = row.get(key)
    if not isinstance(value, list) or not value:
        raise BadRow(f"{key} is {type(value).__name__}, expected a list of messages")
    return value


def _text(row: jsonl.Row, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise BadRow(f"{key} is {type(value).__name__}, expected text")
    return value


def _message(message: Any, role_key: str, text_key: str) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get(text_key), str):
        raise BadRow(f"a message without {text_key}")
    role = _ROLES.get(str(message.get(role_key)))
    if role is None:
        raise BadRow(f"a message from {message.get(role_key)!r}; known: {', '.join(_ROLES)}")
    return Message(role, message[text_key])


def rows(source: str, result: Instructions) -> Iterator[tuple[str, jsonl.Row]]:
    """Origin and content of every row of a file or data set; what is not a row goes to ``bad``."""
    path = Path(source)
    if path.is_dir() or not path.exists():
        return _numbered(source, _dataset(source))
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if kind in (".jsonl", ".jsonl.gz"):
        return _jsonl_rows(path, result)
    if kind in (".json", ".json.gz"):
        return _json_rows(path, result)
    if kind == ".parquet":
        return _numbered(source, _parquet_rows(path))
    expected = ".jsonl or .json (also .gz) or .parquet"
    raise ConfigError(f"{path} is {kind or 'no'} file; expected {expected}")


def _jsonl_rows(path: Path, result: Instructions) -> Iterator[tuple[str, jsonl.Row]]:
    for line in jsonl.lines(path):
        try:
            row = line.row()
        except jsonl.LineError as error:
            result.num_rows += 1
            result.bad.append((line.where, str(error).removeprefix(f"{line.where} ")))
        else:
            yield line.where, row


def _json_rows(path: Path, result: Instructions) -> Iterator[tuple[str, jsonl.Row]]:
    rows = jsonl.read_document(path)
    if not isinstance(rows, list):
        raise ConfigError(f"{path} holds {type(rows).__name__}, expected a list of rows")
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            yield f"{path}:{number}", row
        else:
            result.num_rows += 1
            result.bad.append((f"{path}:{number}", f"holds {type(row).__name__}"))


def _numbered(source: str, rows: Iterable[jsonl.Row]) -> Iterator[tuple[str, jsonl.Row]]:
    return ((f"{source}:{number}", row) for number, row in enumerate(rows, 1))


def _parquet_rows(path: Path) -> Iterator[jsonl.Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise jsonl.FileError(f"{path} needs Parquet: {error}") from error


def _dataset(source: str) -> Iterable[jsonl.Row]:
    """A Hugging Face data set by name, ``NAME`` or ``NAME:SPLIT``, or a folder of its files."""
    is_file = source.endswith((".jsonl", ".json", ".parquet"))
    if is_file or (source.startswith((".", "/")) and not Path(source).is_dir()):
        raise FileNotFoundError(f"no file {source}")
    import datasets

    name, _, split = source.partition(":")
    try:
        loaded: Iterable[jsonl.Row] = datasets.load_dataset(name, split=split or "train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ConfigError(f"no file and no data set {source!r}: {error}") from error
    return loaded
