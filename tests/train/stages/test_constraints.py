"""Instructions with checks, written by split: what a test is asked was never trained on."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from redraft.server import jsonl
from redraft.server.options import ConfigError
from redraft.train.constraints.wordings import KINDS, UNSEEN
from redraft.train.stages import constraints
from redraft.train.stages.constraints import ConstraintsOptions


def written(count: int = 600, **options: object) -> list[jsonl.Row]:
    given = ConstraintsOptions("unused", **options)  # type: ignore[arg-type]
    return [dict(row) for row in islice(constraints.rows(given), count)]


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        constraints.main(["--output", str(tmp_path / name), "--count", "50", "--seed", "4"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_fifth_has_nothing_that_can_be_checked() -> None:
    unchecked = [row for row in written(2000) if not row["meta"]["checks"]]
    assert 0.15 < len(unchecked) / 2000 < 0.25
    assert all(row["instruction"] == row["meta"]["plain"] for row in unchecked)


def test_no_instruction_is_in_two_splits() -> None:
    splits = [
        {row["meta"]["plain"] for row in written(6000, split=split)}
        for split in ("train", "preferences", "test")
    ]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]


def test_unseen_kinds_are_drawn_only_where_they_are_asked_for() -> None:
    unseen = {kind.name for kind in UNSEEN}
    for kinds, expected in (("trained", False), ("unseen", True)):
        drawn = {name for row in written(kinds=kinds) for name in row["meta"]["kinds"]}
        assert drawn <= KINDS.keys()
        assert all((name in unseen) is expected for name in drawn)


def test_sets_of_one_instruction_share_the_draft_of_the_first() -> None:
    rows = written(40, sets=4)
    for start in range(0, 40, 4):
        first, *others = rows[start : start + 4]
        assert "draft_for" not in first["meta"]
        assert {row["meta"]["draft_for"] for row in others} == {first["instruction"]}
        assert len({row["meta"]["plain"] for row in rows[start : start + 4]}) == 1


def test_instructions_of_a_file_stand_beside_those_of_our_topics(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    jsonl.write(path, ({"instruction": f"Say {n} in Latin."} for n in range(500)))
    plain = {row["meta"]["plain"] for row in written(6000, data=(str(path),))}
    assert any(text.endswith("in Latin.") for text in plain)
    assert any(not text.endswith("in Latin.") for text in plain)


def test_none_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        constraints.main(["--output", str(tmp_path / "x"), "--count", "0"])


def test_only_the_kinds_that_are_named_are_drawn() -> None:
    drawn = {name for row in written(only=("lowercase", "ends")) for name in row["meta"]["kinds"]}
    assert drawn == {"lowercase", "ends"}


def test_a_name_of_no_kind_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--only lower: no trained kind .* lowercase"):
        constraints.main(["--output", str(tmp_path / "x"), "--only", "lower", "ends"])
    assert not list(tmp_path.iterdir())
