"""README.md says nothing that is not so: its commands run, its options and its files exist.
Spans: README.md, redraft/install, server/config"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft import install
from redraft.server import config
from redraft.server.build.names import DEFAULT, SHIPPED
from redraft.server.config import ServerConfig
from redraft.server.options import flag
from tests.support.program import ROOT, running

README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    joined = "".join(blocks("sh")).replace("\\\n", " ")
    # A command goes on over lines as long as a quote is open.
    complete, pending = [], ""
    for line in joined.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        if pending.count("'") % 2 == 0:
            complete.append(pending.partition("  #")[0].strip())
            pending = ""
    return [command for command in complete if command]


def starting(*words: str) -> list[str]:
    return [command for command in commands() if command.startswith(words)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--engine", "scripted") as program:
        yield program.url


def run(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_command_is_of_a_kind_that_is_tested_here() -> None:
    kinds = ("make ", "curl ", "redraft ", "locust ")
    assert starting(*kinds) == commands()
    assert len(commands()) > 10


@pytest.mark.parametrize("command", starting("make "))
def test_what_is_made_can_be_made(command: str) -> None:
    assert run(f"{command} --dry-run").returncode == 0


def answer_to(command: str, url: str) -> str:
    done = run(command.replace(ADDRESS, url).replace("curl ", "curl --fail-with-body -sS ", 1))
    assert done.returncode == 0, done.stdout + done.stderr
    if '"stream": true' in command:
        assert done.stdout.endswith("data: [DONE]\n\n")
    return done.stdout


@pytest.mark.parametrize("command", starting("curl "))
def test_what_is_asked_is_answered(command: str, url: str) -> None:
    assert '"stop_reason":' in answer_to(command, url)


@pytest.mark.vllm
def test_what_is_asked_is_answered_by_the_shipped_model() -> None:
    if not (SHIPPED / DEFAULT).is_dir():
        pytest.skip(f"there is no model {DEFAULT} yet")
    with running() as program:
        for command in starting("curl "):
            assert '"stop_reason":' in answer_to(command, program.url)


@pytest.mark.slow
@pytest.mark.parametrize("command", starting("locust "))
def test_what_loads_a_server_runs(command: str, url: str) -> None:
    here = command.replace(ADDRESS, url).replace("-t 30s", "-t 2s")
    loaded = run(f"{sys.executable} -m {here}")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr


@pytest.mark.parametrize("code", blocks("python"))
def test_what_is_programmed_runs(code: str, url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", code.replace(ADDRESS, url)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "scripted engine" in ran.stdout


@pytest.mark.parametrize("command", starting("redraft chat"))
def test_what_is_chatted_is_answered(command: str, url: str) -> None:
    here = command.replace("redraft", f"{sys.executable} -m redraft.server.cli", 1)
    chatted = run(f"echo Hello | {here}", REDRAFT_URL=url)
    assert "refinement of a scripted engine" in chatted.stdout


@pytest.mark.parametrize("command", starting("redraft serve"))
def test_what_is_served_is_made_of_options_that_exist(command: str) -> None:
    config.read(shlex.split(command)[2:], {})


@pytest.mark.parametrize("command", starting("redraft install"))
def test_what_is_installed_is_an_extra(command: str) -> None:
    assert install.parse(shlex.split(command)[2:]).extras


@pytest.mark.parametrize("command", starting("redraft train", "redraft bench"))
def test_what_is_trained_and_measured_exists(command: str) -> None:
    pytest.importorskip("yaml")
    words = shlex.split(command)
    assert all(Path(ROOT / word).exists() for word in words if "/" in word)
    shown = run(shlex.join([sys.executable, "-m", "redraft.server.cli", *words[1:3], "--help"]))
    assert shown.returncode == 0, shown.stderr


def test_every_option_named_exists() -> None:
    known = {flag(field.name) for field in dataclasses.fields(ServerConfig)} | {"--help"}
    table = "".join(line for line in README.splitlines() if line.startswith("| `--"))
    named = set(re.findall(r"`(--[a-z-]+)", table + README.partition("## Serve")[0]))
    assert named - {"--config"} <= known


def test_the_tree_is_the_tree() -> None:
    (tree,) = re.findall(r"## Where things are\n\n```\n(.*?)```", README, re.DOTALL)
    parents: list[str] = []
    for line in tree.splitlines():
        indent = (len(line) - len(line.lstrip())) // 2
        parents = [*parents[:indent], line.split()[0]]
        path = ROOT / Path(*parents)
        assert path.is_dir() if parents[-1].endswith("/") else path.is_file(), path


def test_links_within_the_repository_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
