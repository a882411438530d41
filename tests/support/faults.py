"""Faults: what happens when something around the server fails, told beside the test that shows it.

    @fault("kill -9 of the engine's process", sees="...", lost="...", recovers="...")
    def test_an_engine_whose_process_is_killed_comes_back() -> None: ...

docs/faults.md is made of them, in the order of GROUPS. After a change, write it again:

    python -m tests.support.faults
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

Test = TypeVar("Test", bound=Callable[..., Any])
Group = Literal["Engine", "Upstream", "Server", "Clients", "Disk"]
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "faults.md"
HEAD = """# When something fails

What a client sees, what is lost and how the server recovers, for every fault that a test causes.
The table is written from those tests by `python -m tests.support.faults`; each row names its own.
"Its best" is the best response so far, with HTTP 200 and a `stop_reason`; "an error" is one in
OpenAI's shape, with a status of its own and a request id.
"""
COLUMNS = """| fault | what the client sees | what is lost | how it recovers | test |
|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    group: Group
    what: str
    sees: str
    lost: str
    recovers: str
    test: str  # its file and name

    def __str__(self) -> str:
        path, name = self.test.split("::")
        return (
            f"| {self.what} | {self.sees} | {self.lost} | {self.recovers} | [{name}](../{path}) |"
        )


def fault(
    group: Group, what: str, *, sees: str, lost: str, recovers: str
) -> Callable[[Test], Test]:
    """Marks the test of one fault; its arguments are literals, read from the source."""
    return lambda test: test


def rows() -> Iterator[Row]:
    """Of all tests, read and not imported: some need libraries that may not be there."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if "@fault(" not in source:
            continue
        for node in ast.parse(source).body:
            for call in getattr(node, "decorator_list", ()):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "fault":
                    group, what = map(ast.literal_eval, call.args)
                    told = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
                    test = f"{path.relative_to(ROOT)}::{getattr(node, 'name', '')}"
                    yield Row(group, what, test=test, **told)


def page() -> str:
    parts = [HEAD]
    for group in get_args(Group):
        of_group = [str(row) for row in rows() if row.group == group]
        parts.append("\n".join([f"## {group}\n", COLUMNS, *of_group]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
