"""The speculation measurement: two servers that differ in one option write the same refinements."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")
pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks import speculation
from redraft.benchmarks.phased_model import ASSISTANT, END, PERIOD, REFINEMENT, successors


def test_what_a_refinement_repeats_is_counted_in_order() -> None:
    assert speculation.repeated("a b c d e", "a b x d e") == 0.8
    assert speculation.repeated("a b c d e", "b c d e") == 0.8
    assert speculation.repeated("a b c d e", "v w x y z") == 0
    assert speculation.repeated("a b", "a b") == 1


def test_guesses_are_read_from_what_the_server_counts() -> None:
    page = (
        'vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="model"} 40.0\n'
        'vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="model"} 30.0\n'
        'vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="0"} 9.0\n'
    )
    assert dict(speculation.GUESSED.findall(page)) == {"draft": "40.0", "accepted": "30.0"}


def test_a_phased_model_may_repeat_part_of_its_draft() -> None:
    follows = successors(phase_tokens=40, kept=0.8)
    assert follows[REFINEMENT] == follows[ASSISTANT] == ("a0a",)
    choices, word = [], ASSISTANT
    while (word := follows[word][0]) != END:
        choices.append(len(follows[word]))
    assert len(choices) == 40
    assert choices.count(8) == 40 - 2 * round(PERIOD * 0.8)
    assert set(choices) == {1, 8}


@pytest.mark.vllm
@pytest.mark.timeout(1800)
def test_a_run_compares_two_servers_and_stops_them(tmp_path: Path) -> None:
    size = ["--hidden", "64", "--layers", "2", "--heads", "2", "--phase-tokens", "40"]
    cell = ["--kept", "0.8", "--concurrency", "2", "--requests", "2", "--repeats", "1"]
    small = ["--prompt-tokens", "20", "--kv-cache-mib", "64", "--out", str(tmp_path)]
    before = {child.pid for child in psutil.Process().children()}
    assert speculation.main([*size, *cell, *small]) == 0
    assert {child.pid for child in psutil.Process().children()} == before
    result = json.loads((tmp_path / "speculation.json").read_text())
    assert result["failures"] == {}
    ((name, measured),) = result["figures"].items()
    assert name.endswith(", x2")
    assert measured["ratio"]["n"] == measured["cpu_ratio"]["n"] == 1
    assert 0 < measured["guessed_per_token"] < 2
    assert 0.2 < measured["accepted_share"] <= 1
    samples = [
        json.loads(line)
        for line in (tmp_path / "speculation.samples.jsonl").read_text().splitlines()
    ]
    assert {sample["system"]: sample["tokens"] for sample in samples} == {
        "plain": 2 * 41,
        "speculating": 2 * 41,
    }
    assert {sample["guessed"] for sample in samples if sample["system"] == "plain"} == {0}
