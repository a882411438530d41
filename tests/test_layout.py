"""Where a test stands: beside the module or package it is about, or it says what it spans.
Spans: tests"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
SPANS = "Spans: "


def modules() -> list[Path]:
    return sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))


def exists(name: str) -> bool:
    return (ROOT / name).exists() or (ROOT / f"{name}.py").exists()


def mirrored(module: Path) -> bool:
    """Whether tests/server/refine/test_loop.py has its server/refine/loop.py, or a package."""
    return exists(str(module.with_name(module.stem.removeprefix("test_"))))


def spanned(module: Path) -> list[str]:
    """What the first paragraph of the docstring names on its last line, if that is there."""
    docstring = ast.get_docstring(ast.parse((TESTS / module).read_text(encoding="utf-8"))) or ""
    last = docstring.partition("\n\n")[0].splitlines()[-1:]
    return [
        name for line in last if line.startswith(SPANS) for name in line[len(SPANS) :].split(", ")
    ]


@pytest.mark.parametrize("module", modules(), ids=str)
def test_a_test_mirrors_a_module_or_says_what_it_spans(module: Path) -> None:
    names = spanned(module)
    in_its_place = len(module.parts) > 1 and mirrored(module)
    assert names or in_its_place, (
        f"tests/{module} is named for no module or package of the same path: rename it, or end "
        f"the first paragraph of its docstring with a line '{SPANS}server/api, server/service'"
    )
    assert [name for name in names if not exists(name)] == [], "spans what does not exist"
    assert not (names and in_its_place), f"tests/{module} mirrors a module: it needs no '{SPANS}'"
