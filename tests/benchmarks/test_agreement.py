"""Agreement with people: pairs are read from transcripts, ties are wrong, and what got no score is
in no rate."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")
pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks import agreement
from redraft.benchmarks.__main__ import main as bench
from tests.support.evaldata import stored
from tests.support.judging import application
from tests.support.serving import Served, serving

ASKED = "\n\nHuman: Hello\n\nAssistant: Hi, what is it?\n\nHuman: Name a fish.\n\nAssistant: "


@pytest.fixture(scope="module")
def app() -> Any:
    return application()


@pytest.fixture(scope="module")
def served(app: Any) -> Iterator[Served]:
    with serving(app) as server:
        yield server


def measure(served: Served, directory: Path, pairs: list[tuple[str, str]]) -> tuple[int, Any]:
    path = directory / "pairs.jsonl.gz"
    rows = [json.dumps({"chosen": ASKED + a, "rejected": ASKED + b}) for a, b in pairs]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    arguments = ["--data", str(path), "--url", served.v1, "--model", "m", "--retries", "0"]
    code = agreement.main([*arguments, "--out", str(directory)])
    return code, json.loads((directory / "agreement.json").read_text())


def test_a_transcript_is_a_conversation_and_the_answer_that_ends_it() -> None:
    side = agreement.read_side(ASKED + "A trout.")
    assert side
    assert side.response == "A trout."
    assert [message["role"] for message in side.messages] == ["user", "assistant", "user"]
    assert side.messages[-1]["content"] == "Name a fish."


def test_a_transcript_without_a_last_answer_is_left_out() -> None:
    assert agreement.read_side(ASKED) is None
    assert agreement.read_side("\n\nHuman: Hello") is None


def test_ties_are_wrong_and_reported_apart(served: Served, tmp_path: Path) -> None:
    pairs = [(f"{8 + n % 3} of 10, {n}", f"2 of 10, {n}") for n in range(6)]
    pairs += [("5 of 10 yes", "5 of 10 no"), ("5 of 10 a", "5 of 10 b"), ("1 of 10", "9 of 10")]
    code, result = measure(served, tmp_path, pairs)
    assert code == 0
    figures = result["figures"]["all"]
    assert (figures["right"], figures["ties"], figures["wrong"]) == (6, 2, 1)
    assert figures["accuracy"]["estimate"] == pytest.approx(100 * 6 / 9, abs=1e-5)
    assert figures["without_ties"]["estimate"] == pytest.approx(100 * 6 / 7, abs=1e-5)
    assert figures["ties_half"]["estimate"] == pytest.approx(100 * 7 / 9, abs=1e-5)


def test_an_answer_without_a_score_is_a_counted_failure_and_not_a_wrong_pair(
    served: Served, tmp_path: Path
) -> None:
    pairs = [("7 of 10", "3 of 10"), ("no idea", "4 of 10"), ("broken", "6 of 10")]
    code, result = measure(served, tmp_path, pairs)
    assert code == 1
    assert result["failures"] == {"no_score": 1, "http_500": 1}
    assert result["figures"]["all"]["accuracy"]["n"] == 1


def test_what_is_scored_is_not_asked_again(app: Any, served: Served, tmp_path: Path) -> None:
    pairs = [("7 of 10 again", "3 of 10 again")]
    measure(served, tmp_path, pairs)
    asked = len(app.state.bodies)
    measure(served, tmp_path, pairs)
    assert len(app.state.bodies) == asked


def test_copies_of_a_pair_are_told_and_narrow_no_interval(served: Served, tmp_path: Path) -> None:
    pairs = [("7 of 10", "3 of 10"), ("2 of 10", "4 of 10")]
    _, once = measure(served, tmp_path, pairs)
    _, result = measure(served, tmp_path, [pairs[0]] * 50 + [pairs[1]])
    assert result["figures"]["all"] == once["figures"]["all"]
    assert result["figures"]["all"]["accuracy"]["n"] == 2
    assert result["figures"]["copies"] == 49
    assert "49 pairs are copies of others and count once" in result["tables"][0]["note"]


@pytest.mark.parametrize("rows", [b"", b'{"chosen": "\\n\\nHuman: a", "rejected": "b"}\n'])
def test_without_a_pair_there_is_no_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: bytes
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(rows)
    assert bench(["agreement", "--data", str(path), "--model", "m", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(f"{path} hold no pair that can be scored\n")


def test_the_stored_transcripts_can_be_read() -> None:
    for path in sorted(stored("hh_rlhf").glob("*.jsonl.gz")):
        pairs = list(agreement.read_pairs(path))
        assert len(pairs) > 1800
        assert all(pair.chosen.response != "" for pair in pairs)
