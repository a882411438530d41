"""Documents, the changelog, CI and the commit hooks name what exists.
Spans: CONTRIBUTING.md, CHANGELOG.md, SECURITY.md, docs, .github, .ci"""

from __future__ import annotations

import ast
import dataclasses
import re
import tomllib
from datetime import date
from pathlib import Path
from tokenize import COMMENT, tokenize
from typing import Any

import pytest

from redraft import __version__
from redraft.server.config import ServerConfig
from redraft.server.options import flag

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def make_targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))


def project(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return content


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".github/workflows/ci.yml", ".ci/run"])
def test_every_make_target_that_is_named_exists(root: Path, name: str) -> None:
    text = (root / name).read_text()
    named = set(re.findall(r"(?:`|run: |exec |^)make ([a-z]+)", text, re.MULTILINE))
    assert named
    assert named <= make_targets(root)


def paths_in(text: str) -> list[str]:
    tops = "server|train|clients|benchmarks|tests|docs|deploy|constraints|redraft"
    return re.findall(rf"(?:^|[` (])((?:{tops})/[\w./]*\w/?)", text, re.MULTILINE)


def remarks(module: Path) -> str:
    """The docstrings and comments of a module."""
    with module.open("rb") as file:
        comments = [part.string for part in tokenize(file.readline) if part.type == COMMENT]
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(module.read_text())
    docstrings = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, nodes)]
    return "\n".join([*comments, *filter(None, docstrings)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(root: Path, page: Path) -> None:
    for path in paths_in(page.read_text()):
        assert (root / path).exists(), path


@pytest.mark.parametrize("package", ["server", "train", "clients", "benchmarks", "tests"])
def test_every_path_that_a_docstring_or_a_comment_names_exists(root: Path, package: str) -> None:
    for module in (root / package).rglob("*.py"):
        for path in paths_in(remarks(module)):
            known = (root / path).exists() or (root / f"{path}.py").exists()
            assert known, f"{module} names {path}"


def test_every_option_of_the_server_that_is_named_exists(root: Path) -> None:
    known = {flag(field.name) for field in dataclasses.fields(ServerConfig)} | {"--help"}
    named = set(re.findall(r"`(?:redraft serve )?(--[a-z-]+)", (root / "SECURITY.md").read_text()))
    assert len(named) > 3
    assert named - {"--version"} <= known


def test_the_changelog_is_in_the_usual_form_and_its_newest_version_is_ours(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    if headings[0] == "[Unreleased]":
        headings = headings[1:]
    releases = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", line) for line in headings]
    assert all(releases), headings
    versions = [release[1] for release in releases if release]
    dates = [date.fromisoformat(release[2]) for release in releases if release]
    assert versions[0] == __version__
    assert dates == sorted(dates, reverse=True)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS


def test_ci_checks_every_python_that_is_supported(root: Path) -> None:
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())
    pythons = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]
    classifier = "Programming Language :: Python :: 3."
    supported = [name for name in project(root)["classifiers"] if name.startswith(classifier)]
    assert [f"3.{name.removeprefix(classifier)}" for name in supported] == pythons


def test_hooks_run_the_tools_of_the_project_and_fetch_none(root: Path) -> None:
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    tools = {re.split(r"[><=]", name)[0] for name in project(root)["optional-dependencies"]["dev"]}
    for repository in config["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            assert Path(hook["entry"].split()[0]).name in tools
