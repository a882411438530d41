"""Judged pairs: every shape of preference data is read, and what is no pair is said aloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import Message
from redraft.server.options import ConfigError
from redraft.train.data.instructions import BadRow
from redraft.train.data.judgements import read, to_pair
from redraft.train.data.records import PreferencePair

PAIR = PreferencePair((Message("user", "Name a river."),), "The Elbe.", "Como.")
ASKED = {"role": "user", "content": "Name a river."}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKED], "chosen": "The Elbe.", "rejected": "Como."},
        {"prompt": "Name a river.", "chosen": "The Elbe.", "rejected": "Como."},
        {"prompt": [ASKED], "chosen": "The Elbe.", "rejected": "Como."},
        {
            "chosen": [ASKED, {"role": "assistant", "content": "The Elbe."}],
            "rejected": [ASKED, {"role": "assistant", "content": "Como."}],
        },
        {
            "chosen": "\n\nHuman: Name a river.\n\nAssistant: The Elbe.",
            "rejected": "\n\nHuman: Name a river.\n\nAssistant: Como.",
        },
    ],
)
def test_every_usual_shape_is_read(row: dict[str, Any]) -> None:
    assert to_pair(row) == PAIR


def test_a_conversation_of_several_turns_keeps_them_all() -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Name a river.\n\nAssistant:"
    pair = to_pair({"chosen": f"{start} The Elbe.", "rejected": f"{start} Como."})
    assert [m.role for m in pair.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"text": "x"}, "has text; a judged pair has chosen and rejected"),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"},
            "do not answer the same conversation",
        ),
        ({"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: b"}, "does not end with the assist"),
        ({"chosen": 1, "rejected": 2}, "is int, expected text or messages"),
        ({"prompt": "a", "chosen": "b", "rejected": 2}, "rejected is int, expected text"),
        ({"prompt": [1], "chosen": "b", "rejected": "c"}, "messages need role and content"),
        ({"prompt": [{"role": "user"}], "chosen": "b", "rejected": "c"}, "need role and content"),
        (
            {"prompt": [{"role": "user", "content": 1}], "chosen": "b", "rejected": "c"},
            "a message whose content is no text",
        ),
    ],
)
def test_what_is_no_pair_says_why(row: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRow) as caught:
        to_pair(row)
    assert why in str(caught.value)


def test_bad_rows_are_said_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": "Name a river.", "chosen": "The Elbe.", "rejected": "Como."}, {"x": 1}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    assert read(str(path)) == [PAIR]
    assert "1 pairs, 1 bad rows" in capsys.readouterr().out


def test_copies_of_a_pair_count_once_and_are_said_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.jsonl"
    row = json.dumps({"prompt": "Sing.", "chosen": "La", "rejected": "No"})
    path.write_text(f"{row}\n" * 50)
    assert len(read(str(path))) == 1
    assert "49 pairs are copies of others and count once" in capsys.readouterr().out


def test_a_file_without_a_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("")
    with pytest.raises(ConfigError, match=r"pairs\.jsonl holds no judged pair"):
        read(str(path))
