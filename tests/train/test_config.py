"""Options of a stage: where they come from, which wins, and what a wrong one is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from redraft.train.config import ConfigError, build, option, parse


@dataclass(frozen=True)
class Options:
    """Options for a test."""

    data: tuple[str, ...] = option("what to read")
    rate: float = option("how fast", 0.5)
    limit: int | None = option("how many", None)
    check: bool = option("look twice", True)
    kind: Literal["full", "part"] = option("which", "full")
    engine: Mapping[str, Any] = option("who", {})


def given(*argv: str, environ: Mapping[str, str] | None = None) -> Options:
    return parse(Options, "test", argv, environ or {})


def test_every_option_has_one_default() -> None:
    assert given("--data", "a", "b") == Options(("a", "b"))


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("data: [file]\nrate: 1e-5\nlimit: 3\n")
    environ = {"REDRAFT_TEST_RATE": "0.25", "REDRAFT_TEST_LIMIT": "4"}
    found = given("--config", str(file), "--limit", "5", environ=environ)
    assert found == Options(("file",), 0.25, 5)


def test_a_learning_rate_in_a_file_is_a_number(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("data: [a]\nengine: {rate: 1e-5, other: 2.5E+3}\n")
    assert given("--config", str(file)).engine == {"rate": 1e-5, "other": 2500.0}


def test_key_value_pairs_and_a_lone_word_name_an_engine() -> None:
    assert given("--data", "a", "--engine", "exact").engine == {"model": "exact"}
    pairs = given("--data", "a", "--engine", "model=m", "concurrency=4").engine
    assert pairs == {"model": "m", "concurrency": 4}


def test_a_flag_can_be_switched_off_and_a_number_unset() -> None:
    assert given("--data", "a", "--no-check").check is False
    assert given("--data", "a", "--limit", "none").limit is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"data": ["a"], "rates": 1}, "unknown test option 'rates'; known options: check, data"),
        ({}, "test needs --data: what to read"),
        ({"data": ["a"], "rate": "fast"}, "test option 'rate' is 'fast', expected float"),
        ({"data": ["a"], "kind": "half"}, "is 'half', expected one of full, part"),
        ({"data": ["a"], "check": "maybe"}, "is 'maybe', expected true or false"),
        ({"data": ["a"], "engine": ["a=1", "b"]}, "has 'b', expected KEY=VALUE"),
    ],
)
def test_a_wrong_option_is_told_what_is_right(content: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Options, content, "test")
    assert told in str(caught.value)


def test_help_names_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        given("--help")
    told = " ".join(capsys.readouterr().out.split())
    assert "how fast [default 0.5; REDRAFT_TEST_RATE]" in told
    assert "what to read [required; REDRAFT_TEST_DATA]" in told
