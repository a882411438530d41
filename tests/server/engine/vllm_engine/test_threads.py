"""How many threads compute where the operator does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from redraft.server.engine.vllm_engine import VllmSettings, threads
from redraft.server.engine.vllm_engine.threads import free_cores, threads_for

CPUS = 8


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CPUS)), raising=False)


def model(folder: Path, num_bytes: int) -> VllmSettings:
    with (folder / "model.safetensors").open("wb") as weights:
        weights.truncate(num_bytes)  # sparse: it takes no room
    return VllmSettings(folder)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 3), (64, 16)])
def test_one_core_is_left_for_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    monkeypatch.setattr(threads, "free_cores", lambda: cores)
    assert threads_for(model(tmp_path, 200 << 20)) == expected


def test_workers_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "free_cores", lambda: 9)
    directory = model(tmp_path, 200 << 20).model
    assert threads_for(VllmSettings(directory, data_parallel_size=2)) == 4
    shared = VllmSettings(directory, tensor_parallel_size=2, pipeline_parallel_size=8)
    assert threads_for(shared) == 1


def test_a_model_whose_steps_are_short_computes_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "free_cores", lambda: 8)
    assert threads_for(model(tmp_path, 8 << 20)) == 1


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for number in range(CPUS):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{number // 2},{number // 2 + 4}\n")
    assert free_cores(tmp_path, tmp_path) == CPUS // 2
    assert free_cores(tmp_path, tmp_path / "not there") == CPUS


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", CPUS), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", CPUS)],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, limit: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert free_cores(tmp_path, tmp_path) == expected
