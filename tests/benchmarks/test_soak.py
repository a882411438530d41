"""A soak sees memory that grows, and memory that does not; and keeps its server busy all along."""

from __future__ import annotations

import json
import mmap
import os
import random
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import soak
from redraft.benchmarks.load import soaking
from redraft.benchmarks.load.usage import Footprint, Running

MIB = soak.MIB


def noisy(per_minute: float, seed: int) -> list[tuple[float, int]]:
    draw = random.Random(seed)
    return [
        (float(second), round((200 + per_minute * second / 60 + draw.gauss(0, 0.5)) * MIB))
        for second in range(600)
    ]


def test_memory_that_grows_is_seen_with_its_size() -> None:
    result = [soak.growth(noisy(1.0, seed), settle=0.2) for seed in range(200)]
    held = sum(each.low <= 599 / 60 * MIB <= each.high for each in result)
    assert 180 <= held <= 199  # a 95% interval
    assert min(each.low for each in result) > 8 * MIB


def test_memory_that_only_wavers_is_not_taken_for_growth() -> None:
    holding = [soak.growth(noisy(0.0, seed), 0.2) for seed in range(200)]
    zero_inside = sum(result.low <= 0 <= result.high for result in holding)
    assert 180 <= zero_inside <= 199  # a 95% interval


def test_what_a_server_takes_at_its_start_is_left_out() -> None:
    samples = [(float(s), 300 * MIB if s > 60 else (100 + s) * MIB) for s in range(600)]
    assert soak.growth(samples, settle=0.2).estimate == 0
    assert soak.growth(samples, settle=0.0).estimate > 50 * MIB


def test_descriptors_that_are_not_closed_are_seen() -> None:
    leaking = [(float(second), 100 + second // 10) for second in range(600)]
    wavering = [(float(second), 100 + second % 7) for second in range(600)]
    assert soak.opened(leaking, settle=0.2) > soak.SPARE_DESCRIPTORS
    assert abs(soak.opened(wavering, settle=0.2)) <= 1


def held() -> Footprint:
    """By this process."""
    return Running("", (os.getpid(),)).footprints()["server"]


def test_open_files_are_counted(tmp_path: Path) -> None:
    before = held().descriptors
    with (tmp_path / "file").open("w"):
        assert held().descriptors == before + 1


def test_too_few_looks_are_refused() -> None:
    with pytest.raises(ValueError, match="4 looks at the memory; 10 are needed"):
        soak.growth([(float(second), MIB) for second in range(5)], settle=0.2)


def test_files_that_are_mapped_are_not_memory_that_was_taken(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(50 * MIB))
    before = held().memory_bytes
    taken = bytearray(b"x") * (50 * MIB)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert not any(pages[::4096])  # read, so that every page is there
        grown = held().memory_bytes - before
    assert len(taken) <= grown < len(taken) + 25 * MIB


@pytest.mark.slow
def test_a_soak_asks_in_every_way_and_keeps_every_look(tmp_path: Path) -> None:
    arguments = ["--minutes", "0.1", "--every-s", "0.1", "--max-growth", "1000"]
    assert soak.main([*arguments, "--concurrency", "3", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "soak.json").read_text())
    assert result["failures"] == {}
    assert set(result["figures"]["answered"]) == {kind for kind, _ in soaking.KINDS}
    assert result["figures"]["memory_bytes"] > 10 * MIB
    assert result["figures"]["descriptors_gained"] <= soak.SPARE_DESCRIPTORS
    looks = (tmp_path / "soak.samples.jsonl").read_text().splitlines()
    assert len(looks) >= soak.WINDOWS
    assert (tmp_path / "soak.svg").is_file()
