"""The report is one file that needs no other, shows what failed, and escapes what it is given."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import report
from redraft.benchmarks.__main__ import COMMANDS
from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.output import report_html
from redraft.benchmarks.output.plots import bars, lines, scatter, stacked
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval


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


def test_results_stand_in_the_order_of_the_story(tmp_path: Path) -> None:
    for name in ("zebra", "latency", "iterations", "ablation"):
        write(tmp_path / name, name)
    page = tmp_path / "report.html"
    assert report.main([str(tmp_path), "--out", str(page)]) == 0
    headings = re.findall(r"<h2>(.*?)</h2>", page.read_text())
    assert headings == ["iterations", "latency", "ablation", "zebra"]


def test_results_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("latency-small", "latency-large"):
        write(tmp_path / folder, "latency")
    write(tmp_path / "soak", "soak")
    page = tmp_path / "report.html"
    assert report.main([str(tmp_path), "--out", str(page)]) == 0
    headings = re.findall(r"<h2>(.*?)</h2>", page.read_text())
    assert headings == ["latency: latency-large", "latency: latency-small", "soak"]


def test_as_markdown_it_has_every_table_and_its_plots_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "a", "tasks", timeout=3)
    page = tmp_path / "runs" / "README.md"
    assert report.main([str(tmp_path / "runs"), "--out", str(page), "--title", "Found"]) == 0
    text = page.read_text()
    assert text.startswith("# Found\n\n- [tasks](#tasks): What it is.\n\n## tasks\n\n")
    assert "\n\nWhat it is. **Failures: timeout 3.**\n\n" in text
    assert (
        "| system | right |\n| --- | --- |\n| \\<direct> | 40.0 [30.0, 50.0] |\n\nA note." in text
    )
    (plot,) = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert (page.parent / plot).is_file()


def test_figures_are_set_right_and_words_left() -> None:
    columns = ["way", "right %", "flips", "source", "none"]
    rows = [
        ["2 drafts", "40.0 [30.0, 50.0]", "19/3", "1 paper", "-"],
        ["direct", "-", "-", "README", "-"],
    ]
    html = report_html.table({"title": "T", "columns": columns, "rows": rows, "note": ""})
    assert re.findall(r'<th class="(.)"', html) == ["t", "n", "n", "t", "n"]
    assert '<td class="n" data-of="right %">40.0 [30.0, 50.0]</td>' in html
    assert '<td class="n none" data-of="flips">-</td>' in html


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390])
def test_the_page_fits_a_phone(tmp_path: Path, chromium: str, width: int) -> None:
    """Nothing is cut off and nothing scrolls sideways; every figure has its column's name."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    columns = ("way", "right %", "tokens for an answer", "gain on direct, points", "p")
    row = (
        "refined best of 16",
        Interval(56.7, 44.1, 68.4, 60),
        1e5,
        Interval(3, 1, 4, 9),
        "<0.001",
    )
    table = Table("Every way", columns, (row, ("direct", *row[1:3], None, None)), "A note. " * 9)
    points = {"refine": [(float(k), Interval(9, 8, 10, 5)) for k in range(5)]}
    plot = lines(tmp_path / "wide.svg", points, ("iterations", "right, %"), whole=True)
    config = {"path": "x" * 200}
    publish(Result("rerank", "What it is.", config, {}, {}, (table,), (plot,)), tmp_path)
    page = tmp_path / "report.html"
    assert report.main([str(tmp_path), "--out", str(page)]) == 0
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        shown = browser.new_page(viewport={"width": width, "height": 800})
        shown.goto(page.as_uri())
        shown.locator("summary").click()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.evaluate("document.querySelector('img').naturalWidth") > 0
        assert not shown.locator("thead").is_visible()
        first = shown.locator("tr").filter(has_text="refined best of 16")
        label = "td => getComputedStyle(td, '::before').content"
        labels = first.locator("td.n").evaluate_all(f"all => all.map({label})")
        assert labels == [f'"{column}"' for column in columns[1:]]
        over = "td => td.getBoundingClientRect().right"
        assert max(first.locator("td").evaluate_all(f"all => all.map({over})")) <= width
        assert first.locator("td.none").count() == 0
        assert shown.locator("td.none").count() == 2
        assert not shown.locator("td.none").first.is_visible()
        browser.close()


@pytest.mark.browser
def test_a_printed_page_hides_no_table(tmp_path: Path, chromium: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    columns = tuple(f"column {number}, points" for number in range(9))
    row: tuple[Cell, ...] = ("until 10", *[Interval(56.71, 44.11, 68.41, 60)] * 8)
    publish(Result("gate", "What.", {}, {}, {}, (Table("T", columns, (row,)),)), tmp_path)
    page = tmp_path / "report.html"
    assert report.main([str(tmp_path), "--out", str(page)]) == 0
    paper = 680  # pixels between the margins of A4
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        shown = browser.new_page(viewport={"width": paper, "height": 900})
        shown.goto(page.as_uri())
        shown.emulate_media(media="print")
        assert shown.evaluate("document.documentElement.scrollWidth") <= paper
        assert shown.locator("thead").is_visible()
        assert not shown.locator("summary").is_visible()
        browser.close()


def test_names_in_a_scatter_do_not_cover_each_other(tmp_path: Path) -> None:
    points = {f"until {gate}": (100.0 + gate / 10, Interval(50, 40, 60, 9)) for gate in range(5)}
    far = {"direct": (10.0, Interval(20, 10, 30, 9))}
    scatter(tmp_path / "near.svg", points | far, ("tokens", "right, %"), from_zero=False)
    text = (tmp_path / "near.svg").read_text()
    heights = []
    for name in points:
        result = re.search(
            rf'<text [^>]*?(?:y="|translate\([\d.]+ )([\d.]+)[^>]*>{name}</text>', text
        )
        assert result, name
        heights.append(float(result[1]))
    gaps = [upper - lower for lower, upper in itertools.pairwise(sorted(heights))]
    assert min(gaps) >= 9  # the size of the letters


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    assert bench(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 1


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
    known = COMMANDS.commands
    assert {"winrate", "tasks", "agreement", "latency", "report", "phased-model"} <= known.keys()
    assert all(known.values())


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(["winrate", "score", "nowhere.json"]) == 2
    assert capsys.readouterr().err == "redraft bench winrate score: there is no nowhere.json\n"
