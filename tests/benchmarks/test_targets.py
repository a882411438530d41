"""The targets are read from the results of their runs, and what was not measured is not met."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import targets
from redraft.benchmarks.output.target_table import TARGETS, Target, guessed, linearity, measured
from redraft.benchmarks.stats.intervals import Interval, median_interval


def interval(estimate: float, low: float, high: float) -> dict[str, Any]:
    return Interval(estimate, low, high, 7).json()


def wrote(folder: Path, name: str, figures: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"figures": figures}))


def report(out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], list[str]]:
    code = targets.main(["--steps", "report", "--out", str(out)])
    printed = capsys.readouterr().out.splitlines()
    return code, json.loads(printed[-1])["figures"], printed


def test_a_target_is_met_by_the_median_and_says_when_its_interval_disagrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ratios = {
        "floor": {"time_per_token": interval(1.02, 1.01, 1.04)},
        "client-loop": {"answers_per_s": interval(1.5, 1.4, 1.6)},
        "client-chat": {"answers_per_s": interval(1.1, 1.0, 1.2)},
    }
    cell = {"ratios": ratios, "systems": {"redraft": {"answers_per_s": interval(10, 9, 11)}}}
    for run in ("latency-small", "latency-floor-small"):
        wrote(tmp_path / run, "latency", {f"400 tokens, 1 iterations, x{n}": cell for n in (1, 32)})
    code, figures, printed = report(tmp_path, capsys)
    assert code == 1  # most was not measured
    of_small = {name: result for name, result in figures.items() if "small" in name}
    (alone,) = (
        f for n, f in of_small.items() if n.startswith("time per token, loop /") and "alone" in n
    )
    assert alone["met"] is True
    assert alone["target"] == "<= 1.03x"
    (chat,) = (result for name, result in of_small.items() if "one chat" in name)
    assert chat["met"] is False
    (large,) = (f for n, f in figures.items() if "prompt for each" in n and "large" in n)
    assert large == {"target": ">= 1.3x", "measured": None, "met": None}
    table = "\n".join(printed)
    assert "1.02 [1.01, 1.04] | met, by the median alone |" in table
    assert "1.50 [1.40, 1.60] | met |" in table
    assert "1.10 [1.00, 1.20] | missed |" in table
    assert "| - | not measured |" in table


def test_a_figure_of_few_repeats_has_a_range_and_no_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = median_interval([700.0, 650.0, 720.0]).json()
    wrote(tmp_path / "overhead", "overhead", {"direct": {"requests_per_cpu_s": figure}})
    _, _, printed = report(tmp_path, capsys)
    assert "700.00 (range 650.00 to 720.00) | met |" in "\n".join(printed)


def test_the_open_loop_runs_at_shares_of_what_was_answered_before(tmp_path: Path) -> None:
    systems = {"redraft": {"answers_per_s": interval(10, 9, 11)}}
    wrote(
        tmp_path / "latency-small",
        "latency",
        {"400 tokens, 1 iterations, x32": {"systems": systems}},
    )
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / "redraft.json").touch()
    options = targets.steps()["open"].options(tmp_path, tmp_path / "latency-open")
    assert options.rates == (5.0, 8.0)
    assert options.concurrency == ()


@pytest.mark.parametrize("name", [name for name in targets.steps() if name != "open"])
def test_every_step_gives_its_measurement_options_it_has(name: str, tmp_path: Path) -> None:
    for model in targets.MODELS:
        (tmp_path / "models" / model).mkdir(parents=True)
        (tmp_path / "models" / model / "redraft.json").touch()
    step = targets.steps()[name]
    assert step.options(tmp_path, tmp_path / step.folder).out == tmp_path / step.folder


def test_every_target_is_measured_by_a_step() -> None:
    assert {target.run for target in TARGETS} <= {step.folder for step in targets.steps().values()}


def test_linearity_compares_three_iterations_with_the_first(tmp_path: Path) -> None:
    samples = [
        {
            "system": "redraft",
            "cell": f"400 tokens, {iterations} iterations, x1",
            "repeat": repeat,
            "total_s": (1 + repeat) * (1.0 + iterations * 2.0),
        }
        for repeat in range(3)
        for iterations in (0, 1, 2, 3)
    ]
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (tmp_path / "latency.samples.jsonl").write_text(lines)
    result = linearity(tmp_path)
    assert (result.estimate, result.n) == (1.0, 3)


def test_guessing_is_compared_repeat_by_repeat_at_its_setting(tmp_path: Path) -> None:
    batches = [
        {
            "kept": kept,
            "concurrency": 1,
            "repeat": repeat,
            "system": system,
            "tokens": 100,
            "seconds": seconds * (1 + repeat),
        }
        for repeat in range(3)
        for kept, system, seconds in (
            (0.8, "plain", 2.0),
            (0.8, "speculating", 1.0),
            (0.0, "plain", 2.0),
            (0.0, "speculating", 4.0),
        )
    ]
    lines = "".join(json.dumps(batch) + "\n" for batch in batches)
    (tmp_path / "speculation.samples.jsonl").write_text(lines)
    assert guessed(0.8, 1)(tmp_path).estimate == 2.0
    assert guessed(0.0, 1)(tmp_path).estimate == 0.5
    assert guessed(0.8, 32)(tmp_path).n == 0


def test_a_figure_that_is_no_number_meets_nothing(tmp_path: Path) -> None:
    at = Target(1.0, "x", "y", "here", lambda folder: Interval(2.0, 0.5, 3.0, 3))
    assert measured(at, tmp_path).estimate == 2.0
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
    assert not at.met(nothing.estimate)
    assert not at.sure(at.read_figure(tmp_path))
