"""The ledger: on disk before the next call, read back after any crash, never two of a kind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from redraft.train.data.ledger import Entry, Ledger, LedgerError, key_of


def entry(number: int) -> Entry:
    return Entry(f"key-{number}", "draft", f"text {number}", (1, number), "stop", 5, 2, 0.25)


def fill(path: Path, count: int) -> None:
    async def run() -> None:
        ledger = Ledger(path)
        await asyncio.gather(*(ledger.append(entry(n)) for n in range(count)))
        await ledger.close()

    asyncio.run(run())


def reopened(path: Path) -> Ledger:
    ledger = Ledger(path)
    asyncio.run(ledger.close())
    return ledger


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    fill(tmp_path / "ledger.jsonl", 20)
    ledger = reopened(tmp_path / "ledger.jsonl")
    assert ledger.entries == {f"key-{n}": entry(n) for n in range(20)}
    assert ledger.spent == 5.0


def test_an_entry_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    async def run() -> None:
        ledger = Ledger(path)
        for n in range(3):
            await ledger.append(entry(n))
            assert path.read_bytes().count(b"\n") == n + 1
        await ledger.close()

    asyncio.run(run())


def test_a_line_cut_short_at_any_byte_loses_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    fill(path, 3)
    whole = path.read_bytes()
    second = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in range(second + 1, len(whole)):
        path.write_bytes(whole[:cut])
        ledger = reopened(path)
        assert len(ledger.entries) == 2
        assert ledger.repaired == cut - second
        assert path.read_bytes() == whole[:second]


def test_a_damaged_line_in_the_middle_is_told_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    fill(path, 3)
    damaged = path.read_bytes().replace(b'"key-1"', b'"key-1', 1)
    path.write_bytes(damaged)
    with pytest.raises(LedgerError, match=r"ledger.jsonl:2 cannot be read"):
        Ledger(path)
    assert path.read_bytes() == damaged


def test_two_runs_cannot_share_a_ledger(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(LedgerError, match="in use by another run"):
        Ledger(tmp_path / "ledger.jsonl")
    asyncio.run(first.close())
    reopened(tmp_path / "ledger.jsonl")


def test_the_same_call_is_never_entered_twice(tmp_path: Path) -> None:
    async def run() -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        await ledger.append(entry(1))
        with pytest.raises(LedgerError, match="already in"):
            await ledger.append(entry(1))
        await ledger.close()

    asyncio.run(run())


def test_a_key_is_the_address_of_all_that_decides_a_completion() -> None:
    one = key_of(model="m", prompt=["a"], sampling={"temperature": 0.7, "seed": 1})
    assert one == key_of(sampling={"seed": 1, "temperature": 0.7}, prompt=["a"], model="m")
    assert one != key_of(model="m", prompt=["a"], sampling={"temperature": 0.7, "seed": 2})
    assert one != key_of(model="n", prompt=["a"], sampling={"temperature": 0.7, "seed": 1})
