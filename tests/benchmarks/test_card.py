"""The card of an adapter, from replies that were recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="the bench extra is not installed")

from redraft.benchmarks import card
from redraft.benchmarks.__main__ import main as bench
from redraft.server import jsonl
from redraft.server.build.names import SHIPPED
from tests.support.published_ifeval import published_ifeval

ADAPTER = SHIPPED / "redraft-smollm2"
FEW = 60


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("mending.json", "redraft.json"):
        shutil.copy(ADAPTER / name, folder)
    return folder


@pytest.mark.slow
def test_replies_become_a_card_traces_and_figures_and_the_same_again(
    adapter: Path, tmp_path: Path
) -> None:
    published_ifeval()
    replies = tmp_path / "replies.jsonl"
    rows = list(jsonl.read(ADAPTER / card.REPLIES))[:FEW]
    jsonl.write(replies, [*reversed(rows), {"prompt": "not of IFEval", "reply": {}}])
    model = ("--model", str(adapter), "--traces", "3")
    assert bench(["card", *model, "--replies", str(replies)]) == 0
    written = {path.name: path.read_bytes() for path in adapter.iterdir()}
    assert list(jsonl.read(adapter / card.REPLIES)) == rows
    assert f"IFEval, {FEW} prompts" in written["README.md"].decode()
    assert written["TRACES.md"].decode().count("\n## ") == 3
    stated = json.loads(written["redraft.json"])["evaluation"]
    assert stated["ifeval"]["instructions"] == FEW
    assert stated["about"]  # what the server's page says stays
    assert bench(["card", *model]) == 0
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == written


def interval(estimate: float) -> dict[str, float]:
    return {"estimate": estimate, "low": estimate - 2, "high": estimate + 2, "n": 200}


@pytest.mark.slow
def test_what_else_was_measured_is_in_the_card_once_it_is_there(
    adapter: Path, tmp_path: Path
) -> None:
    published_ifeval()
    shutil.copy(ADAPTER / card.REPLIES, adapter)
    (adapter / card.FIGURES).write_text((ADAPTER / card.FIGURES).read_text())
    before = card.card(adapter)
    assert before.count("Not measured.") == 4
    draft = {"met": {"prompt strict": interval(19)}, "tokens": interval(180)}
    twice = {
        "met": {"prompt strict": interval(37)},
        "tokens": interval(570),
        "gain_on_direct": {"prompt strict": interval(18)},
        "flips": {"wrong_to_right": 100, "right_to_wrong": 3},
    }
    ways = {
        "IFEval's checkers": {
            "direct": draft,
            **dict.fromkeys(("itself 2", "off", "best of 2", "best of 3"), twice),
        }
    }
    left = {"unconstrained": {"unchanged": interval(90)}, "loop": {"length_ratio": interval(98)}}
    paired = {"difference": interval(-1), "wins": 0, "ties": 198, "losses": 2}
    tasks = {
        "scores": {"a:direct": {"bbh": interval(10)}, "a:refine": {"bbh": interval(9)}},
        "comparisons": {"a:refine": {"bbh": paired}},
    }
    more = {
        "ways": {"figures": {"ways": ways}},
        "unconstrained": {"figures": left},
        "tasks": {"figures": tasks},
        "agreement": {"right": 1, "ties": 198, "wrong": 2, "unreadable": 3},
    }
    given = []
    for name, content in more.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        given += [f"--{name}", str(tmp_path / f"{name}.json")]
    assert bench(["card", "--model", str(adapter), *given]) == 0
    written = (adapter / "README.md").read_text()
    assert (
        "| its own feedback, up to 2 | 37.0% (35.0 to 39.0) | 18.0 (16.0 to 20.0) | 100, 3 | 570 |"
        in written.splitlines()
    )
    assert "| refined without feedback | 37.0%" in written
    assert "| the best of 2 sampled drafts by its own scores, nothing refined | 37.0%" in written
    assert "the best of 3" not in written
    harm = "10.0% (8.0 to 12.0) | 9.0% (7.0 to 11.0) | -1.0 (-3.0 to 1.0) | 0, 2 |"
    assert f"| bbh | 200 | {harm}" in written.splitlines()
    assert "Of 204 judged pairs of HH-RLHF" in written
    assert "90.0% (88.0 to 92.0) of the answers are the draft" in " ".join(written.split())


def test_a_folder_without_replies_is_named(
    adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published_ifeval()
    assert bench(["card", "--model", str(adapter)]) == 2
    assert "ifeval.jsonl.gz" in capsys.readouterr().err
