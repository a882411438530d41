"""The shipped adapter: its size, and a card and manifest that say what was recorded.
Spans: models, benchmarks/card, benchmarks/adapter_card"""

from __future__ import annotations

import json
from typing import Any

import pytest

from redraft.benchmarks import card
from redraft.benchmarks.adapter_card import traces
from redraft.benchmarks.following.figures import figures_of
from redraft.benchmarks.following.graded import GradedCourse
from redraft.benchmarks.output.results import plain
from redraft.server.build.names import SHIPPED, shipped
from tests.support.published_ifeval import published_ifeval

ADAPTER = SHIPPED / "redraft-smollm2"


def text_of(name: str) -> str:
    return (ADAPTER / name).read_text(encoding="utf-8")


def test_it_is_served_by_its_name_and_small() -> None:
    assert "redraft-smollm2" in shipped()
    size = sum(file.stat().st_size for file in ADAPTER.glob("adapter_model.*"))
    assert 1_000_000 < size <= 20_000_000
    assert not [*ADAPTER.glob("*.bin"), *ADAPTER.glob("*.pt")]


def test_the_card_is_what_its_command_writes() -> None:
    assert text_of("README.md") == card.card(ADAPTER)


def test_the_readme_of_the_product_says_the_same() -> None:
    lines = (SHIPPED.parent.parent / "README.md").read_text(encoding="utf-8").splitlines()
    stated = [line for line in lines if line.endswith(" |") and ", strict |" in line]
    assert len(stated) == 2
    assert set(stated) <= set(text_of("README.md").splitlines())


def test_the_readme_of_the_product_says_what_checks_came_to() -> None:
    root = SHIPPED.parent.parent
    measured = root / "docs" / "measured" / "ifeval-given" / "ifeval.json"
    figures = json.loads(measured.read_text(encoding="utf-8"))["figures"]["graders"]
    by_checkers = figures["published"]
    (share, gain) = (by_checkers[of]["answer"]["prompt strict"] for of in ("shares", "gains"))
    stated = " ".join((root / "README.md").read_text(encoding="utf-8").split())
    one = "{estimate:.1f}% of the answers ({low:.1f} to {high:.1f})".format(**share)
    other = "{estimate:.1f} points above the draft ({low:.1f} to {high:.1f})".format(**gain)
    assert f"{one}, {other}, and none is spoiled" in stated


def test_the_readme_of_the_product_says_what_other_ways_came_to() -> None:
    stated = " ".join((SHIPPED.parent.parent / "README.md").read_text(encoding="utf-8").split())
    ways = json.loads(text_of("ways.json"))
    left_alone = json.loads(text_of("unconstrained.json"))["unconstrained"]["unchanged"]
    twice, off = (ways[way]["met"]["prompt strict"] for way in ("itself 2", "off"))
    assert f"every constraint holds in {shown(twice)} of the answers" in stated
    assert f"refined without feedback, in {shown(off)}" in stated
    assert f"Of {left_alone['n']} prompts of AlpacaEval it leaves {shown(left_alone)}" in stated


def test_the_readme_of_the_product_says_what_refining_does_to_other_tasks() -> None:
    stated = " ".join((SHIPPED.parent.parent / "README.md").read_text(encoding="utf-8").split())
    paired = [
        counts
        for run in json.loads(text_of("tasks.json"))["runs"]
        for of_model in run["comparisons"].values()
        for counts in of_model.values()
    ]
    wins, losses = (sum(each[which] for each in paired) for which in ("wins", "losses"))
    asked = sum(each["difference"]["n"] for each in paired)
    assert wins == 0
    assert (
        f"of {asked} questions of GSM8K, BBH and TyDiQA refining loses {losses} and gains none"
        in stated
    )


def shown(interval: Any) -> str:
    return "{estimate:.1f}% ({low:.1f} to {high:.1f})".format(**interval)


def test_the_manifest_says_what_was_measured() -> None:
    assert json.loads(text_of("redraft.json")) == card.with_evaluation(ADAPTER)


@pytest.fixture(scope="module")
def graded() -> tuple[list[GradedCourse], Any]:
    pytest.importorskip("numpy", reason="the bench extra is not installed")
    published_ifeval()
    return card.graded_replies(ADAPTER / card.REPLIES)


@pytest.mark.slow
def test_the_figures_are_those_of_the_recorded_replies(
    graded: tuple[list[GradedCourse], Any],
) -> None:
    courses, _ = graded
    assert len(courses) == 541
    assert json.loads(text_of("ifeval.json")) == json.loads(json.dumps(plain(figures_of(courses))))


@pytest.mark.slow
def test_the_traces_are_drawn_by_seed_from_all_of_them(
    graded: tuple[list[GradedCourse], Any],
) -> None:
    page = text_of("TRACES.md")
    assert page == traces.page(*graded, count=20, seed=0)
    assert page.count("\n## ") == 20
