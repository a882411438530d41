"""The report is one file that needs no other, shows what failed, and escapes what it is given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from benchmarks import report
from benchmarks.__main__ import main as bench
from benchmarks.__main__ import measurements
from benchmarks.intervals import Interval
from benchmarks.plots import bars, lines, stacked
from benchmarks.results import Result, Table, publish


def write(folder: Path, name: str, **more: int) -> None:
    plot = bars(folder / f"{name}.svg", {"direct": Interval(40, 30, 50, 9)}, "right, %", 50)
    table = Table("Right", ("system", "right"), (("<direct>", Interval(40, 30, 50, 9)),), "A note.")
    figures = {"right": Interval(40, 30, 50, 9), "nothing": float("nan")}
    publish(Result(name, "What it is.", {"seed": 1}, figures, more, (table,), (plot,)), folder)


def test_the_page_holds_every_result_and_loads_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a", "winrate")
    write(tmp_path / "b", "tasks", timeout=3)
    (tmp_path / "b" / "other.json").write_text("[1, 2]")
    (tmp_path / "b" / "broken.json").write_text("{")
    page = tmp_path / "report.html"
    assert report.main([str(tmp_path), "--out", str(page)]) == 0
    text = page.read_text()
    assert text.count("<section") == 2
    assert "timeout 3" in text
    assert "No failures." in text
    assert "&lt;direct&gt;" in text
    assert "<direct>" not in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(source.startswith(("data:", "#")) for source in sources)


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    assert report.main([str(tmp_path), "--out", str(tmp_path / "page.html")]) == 1


def test_a_result_ends_stdout_with_one_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "winrate", refused=2)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["failures"] == {"refused": 2}
    assert last["config"] == {"seed": 1}
    assert last["figures"]["right"] == {"estimate": 40, "low": 30, "high": 50, "n": 9}
    assert last["figures"]["nothing"] is None
    assert json.loads(Path(last["file"]).read_text())["figures"] == last["figures"]


def test_the_same_values_give_the_same_plot(tmp_path: Path) -> None:
    points = {"redraft": [(1.0, Interval(3, 2, 4, 5)), (8.0, Interval(6, 5, 7, 5))]}
    parts = {"one": {"draft": 1.0, "feedback": 2.0}, "two": {"draft": 1.0}}
    for folder in (tmp_path / "a", tmp_path / "b"):
        lines(folder / "lines.svg", points, ("at once", "tokens/s"), logarithmic=True)
        stacked(folder / "stacked.svg", parts, "seconds")
    for name in ("lines.svg", "stacked.svg"):
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes()
        assert b"<text" in first


def test_every_measurement_says_what_it_is() -> None:
    known = measurements()
    assert {"winrate", "tasks", "agreement", "latency", "report", "phased-model"} <= known.keys()
    assert all(known.values())


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(["winrate", "score", "nowhere.json"]) == 2
    assert capsys.readouterr().err == "redraft bench winrate: there is no nowhere.json\n"
