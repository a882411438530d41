"""Instructions: every usual shape is read, every bad row is counted with its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import Message
from redraft.train.data.instructions import BadRow, read, to_example
from redraft.train.data.records import Example

ASKED = (Message("user", "Name a river."),)


def lines(path: Path, rows: list[Any]) -> str:
    text = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(text) + "\n")
    return str(path)


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Name a river.", "output": "The Elbe."},
        {"instruction": "Name a river.", "input": "", "output": "The Elbe."},
        {"prompt": "Name a river.", "completion": "The Elbe."},
        {"question": "Name a river.", "answer": "The Elbe."},
        {
            "messages": [
                {"role": "user", "content": "Name a river."},
                {"role": "assistant", "content": "The Elbe."},
            ]
        },
        {"messages": [{"role": "user", "content": "Name a river."}], "response": "The Elbe."},
        {
            "conversations": [
                {"from": "human", "value": "Name a river."},
                {"from": "gpt", "value": "The Elbe."},
            ]
        },
        {"prompt": [{"role": "user", "content": "Name a river."}], "response": None},
    ],
)
def test_every_usual_shape_is_recognised(row: dict[str, Any]) -> None:
    example = to_example(row, "here:1")
    assert example is not None
    assert example.messages == ASKED
    assert example.response in ("The Elbe.", None)


def test_alpaca_input_follows_the_instruction() -> None:
    example = to_example({"instruction": "Sort this.", "input": "3 1 2"}, "")
    assert example == Example((Message("user", "Sort this.\n\n3 1 2"),), "")


def test_a_system_message_stays_with_the_instruction() -> None:
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a river."},
    ]
    example = to_example({"messages": said}, "")
    assert example is not None
    assert [m.role for m in example.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"text": "hello"}, "has text; known shapes need messages: messages"),
        ({"messages": []}, "expected a list of messages"),
        ({"messages": [{"role": "user"}]}, "a message without content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "a message from 'tool'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user message"),
        ({"instruction": 7}, "instruction is int, expected text"),
        ({"instruction": "  "}, "the instruction is empty"),
        ({"instruction": "x", "meta": "y"}, "meta is str"),
    ],
)
def test_a_bad_row_says_what_is_wrong_with_it(row: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRow) as caught:
        to_example(row, "")
    assert why in str(caught.value)


def test_no_row_is_dropped_in_silence(tmp_path: Path) -> None:
    turns = [{"role": r, "content": r} for r in ("user", "assistant", "user", "assistant")]
    rows = [
        {"instruction": "One."},
        "{broken",
        {"instruction": "One."},
        {"messages": turns},
        "[1, 2]",
        {"nothing": "here"},
        {"instruction": "Two."},
    ]
    source = lines(tmp_path / "a.jsonl", rows)
    found = read((source,))
    assert {e.messages[0].content for e in found.examples} == {"One.", "Two."}
    assert (found.num_rows, found.num_duplicates, found.num_multi_turn) == (7, 1, 1)
    assert [origin for origin, _ in found.bad] == [f"{source}:{n}" for n in (2, 5, 6)]
    assert f"bad row {source}:2: needs a JSON object" in found.summary()
    assert found.num_rows == len(found.examples) + 1 + 1 + 3


def test_the_pick_depends_on_seed_and_content_alone(tmp_path: Path) -> None:
    rows = [{"instruction": f"Number {n}."} for n in range(50)]
    forward = lines(tmp_path / "forward.jsonl", rows)
    backward = lines(tmp_path / "backward.jsonl", rows[::-1])

    def ids(source: str, **how: Any) -> list[str]:
        return [e.id for e in read((source,), **how).examples]

    assert ids(forward, limit=10) == ids(backward, limit=10)
    assert ids(forward, limit=10) != ids(forward, limit=10, seed=1)
    assert not set(ids(forward, limit=10)) & set(ids(forward, skip=10, limit=20))


def test_json_and_parquet_are_read_like_lines(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"instruction": f"Number {n}.", "output": "x"} for n in range(5)]
    source = lines(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.json"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    expected = {e.id for e in read((source,)).examples}
    for other in ("a.json", "a.parquet", "a.jsonl.gz", "a.json.gz"):
        assert {e.id for e in read((str(tmp_path / other),)).examples} == expected


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        read(("/nowhere/a.jsonl",))


def test_a_folder_of_a_data_set_is_read_by_the_hubs_own_library(tmp_path: Path) -> None:
    rows = [{"instruction": f"Number {n}."} for n in range(5)]
    lines(tmp_path / "train.jsonl", rows)
    found = read((str(tmp_path),))
    assert len(found.examples) == 5
    assert found.examples[0].origin.startswith(f"{tmp_path}:")
