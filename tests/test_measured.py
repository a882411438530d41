"""What was measured once and is told in documents is what the results beside them say.
Spans: docs/measured, README.md, benchmarks/report"""

from __future__ import annotations

import re

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import report
from redraft.benchmarks.output import report_markdown
from tests.support.program import ROOT

MEASURED = ROOT / "docs" / "measured"
TITLE = "Redraft, measured"


def test_the_page_of_results_is_what_the_report_makes_of_them() -> None:
    found = report.ordered([MEASURED])
    text = (MEASURED / "README.md").read_text(encoding="utf-8")
    assert text == report_markdown.page(TITLE, found, MEASURED)
    for plot in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (MEASURED / plot).is_file()


def test_the_readmes_costs_are_rows_of_that_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## What refining costs\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    page = (MEASURED / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) >= 5
    assert [row for row in rows if row not in page] == []
