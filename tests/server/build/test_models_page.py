"""docs/models.md: its commands parse, its names, numbers and variables are the real ones.
Spans: docs/models.md, server/build, server/cli"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

from redraft.server import config, options
from redraft.server.build.aliases import ALIASES
from redraft.server.build.fetching import size
from redraft.server.build.names import DEFAULT, FALLBACK, SHIPPED
from redraft.server.build.repository import HubName
from redraft.server.cli import COMMANDS
from redraft.server.cli.doctor import DoctorOptions
from redraft.server.cli.fetch import FetchOptions
from redraft.server.cli.models import ListOptions
from redraft.server.config import ServerConfig
from redraft.server.engine.vllm_engine.memory import kv_bytes_per_token, window_bytes, window_of
from redraft.server.options import flag

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
OURS = [line for line in LINES if line.startswith("redraft ")]


def test_every_command_is_one_of_ours_or_of_llama_cpp() -> None:
    assert {line.split()[0] for line in LINES} == {"redraft", "llama-server"}
    assert (
        {line.split()[1] for line in OURS}
        == {"serve", "models", "fetch", "doctor"}
        <= COMMANDS.keys()
    )


@pytest.mark.parametrize("command", OURS)
def test_every_command_of_ours_is_made_of_options_that_exist(command: str) -> None:
    program, *arguments = shlex.split(command)[1:]
    if program == "serve":
        config.read(arguments, {})
    else:
        table = {"models": ListOptions, "fetch": FetchOptions, "doctor": DoctorOptions}[program]
        options.read(table, f"redraft {program}", arguments, {})


def test_every_option_that_is_named_exists() -> None:
    known = {flag(field.name) for field in dataclasses.fields(DoctorOptions)}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known
    assert "cache_dir" in {field.name for field in dataclasses.fields(ServerConfig)}


def test_every_name_of_the_table_is_one_that_is_taken() -> None:
    for alias in ALIASES.values():
        assert f"| `{alias.name}` |" in PAGE
        assert f"`{alias.requirement}`" in PAGE
        assert f"a {size(alias.wheel_bytes)} wheel" in PAGE
        assert f"{size(alias.made_bytes)}." in PAGE.replace("\n", " ")
    assert f"| `{DEFAULT}`, or no name |" in PAGE
    assert f"| `{FALLBACK}` |" in PAGE
    assert HubName.parse("OWNER/NAME@REVISION") == HubName("OWNER/NAME", "REVISION")


def test_what_the_shipped_model_takes_is_as_the_table_says() -> None:
    if not (SHIPPED / FALLBACK).is_dir():
        pytest.skip(f"there is no model {FALLBACK} yet")
    described = json.loads((SHIPPED / FALLBACK / "config.json").read_text())
    per_token, window = kv_bytes_per_token(described), window_of(described)
    assert per_token
    assert (
        f"| {FALLBACK} | {per_token:,} bytes | {size(64 * 1024 * per_token)} | "
        f"{size(window_bytes(per_token, window))} of {window:,} tokens |"
    ) in PAGE
