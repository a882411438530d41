"""docs/checks.md: its table of kinds is that of the program, and its request is answered.
Spans: docs/checks.md, server/refine/checks

After a change of the kinds, write the table again:

    python -m tests.server.refine.checks.test_page
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from redraft.server.refine.checks import KINDS, Check, Kind, says
from redraft.server.refine.checks.json_schema import KEYWORDS
from tests.support.asgi import post

PAGE = Path(__file__).resolve().parents[4] / "docs" / "checks.md"
HEADER = "| kind | takes | an example | in words |\n|---|---|---|---|\n"


def table() -> str:
    return HEADER + "\n".join(map(row, KINDS.values())) + "\n"


def row(kind: Kind) -> str:
    takes = [
        f"`{argument.name}`: {argument.says}" + ("" if argument.required else " (optional)")
        for argument in kind.arguments
    ]
    takes += ["bounds"] if kind.bounded else []
    example = Check(kind.name, kind.example)
    written = json.dumps(example.to_json()).replace("|", "\\|")
    cells = (f"`{kind.name}`", "; ".join(takes) or "nothing", f"`{written}`", says(example))
    return f"| {' | '.join(cells)} |"


def test_the_table_of_the_page_is_that_of_the_program() -> None:
    before, header, rows = PAGE.read_text(encoding="utf-8").partition(HEADER)
    assert before
    assert header + rows == table()


def test_the_request_of_the_page_is_answered() -> None:
    page = PAGE.read_text(encoding="utf-8")
    ((path, body),) = re.findall(r"```json POST (\S+)\n(.*?)```", page, re.DOTALL)
    answer = post(path, json.loads(body), "The sea is deep")
    assert answer.json()["refine"]["stop_reason"] == "checks_passed"


def test_the_page_names_the_keywords_of_schemas() -> None:
    page = PAGE.read_text(encoding="utf-8")
    limits = {name for name in KEYWORDS if name.startswith(("min", "max", "exclusive"))}
    remarks = {"$schema", "title", "description", "default", "examples", "format"}
    assert [name for name in KEYWORDS - limits - remarks if f"`{name}`" not in page] == []


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.partition(HEADER)[0] + table(), encoding="utf-8")
