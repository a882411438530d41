"""Options of any program: where they come from, which wins, and the message about a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from redraft.server.options import ConfigError, build, option, read, secret

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """Options for a test."""

    data: tuple[str, ...] = option("what to read")
    rate: float = option("how fast", 0.5)
    limit: int | None = option("how many", None, least=1)
    check: bool = option("look twice", True)
    kind: Literal["none", "full", "part"] = option("which", "full")
    engine: Mapping[str, Any] = option("which engine", {}, shorthand="model")
    sizes: tuple[int, ...] = option("of what", (1, 2))
    stage: Literal[1, 2] = option("which stage", 1)
    output: Path = option("folder", Path("runs"))
    others: tuple[Mapping[str, Any], ...] = option("more engines", (), shorthand="model")
    token: str = secret("an API key")


def given(*argv: str, environ: Mapping[str, str] | None = None, file_wins: bool = False) -> Options:
    argv = ("--data", "a", *argv) if "--data" not in argv else argv
    return read(Options, "test", argv, environ or {}, prefix="TEST_", file_wins=file_wins)


def help_text(capsys: pytest.CaptureFixture[str], file_wins: bool = False) -> str:
    with pytest.raises(SystemExit) as exit:
        given("--help", file_wins=file_wins)
    assert exit.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_every_option_has_one_default() -> None:
    assert given("--data", "a", "b") == Options(("a", "b"))


@pytest.mark.parametrize(("file_wins", "limit"), [(False, 2), (True, 1)])
def test_the_command_line_wins_and_the_program_ranks_file_and_environment(
    file_wins: bool, limit: int, tmp_path: Path
) -> None:
    file = tmp_path / "options.toml"
    file.write_text("data = ['file']\nrate = 0.1\nlimit = 1\nstage = 2\n")
    environ = {"TEST_RATE": "0.2", "TEST_LIMIT": "2", "TEST_KIND": "part"}
    options = read(
        Options,
        "test",
        ["--config", str(file), "--rate", "0.3"],
        environ,
        prefix="TEST_",
        file_wins=file_wins,
    )
    assert options == Options(("file",), rate=0.3, limit=limit, kind="part", stage=2)


def test_help_names_the_precedence_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    first = "the command line, else its environment variable, else the file given with --config"
    assert first in help_text(capsys)
    first = "the command line, else the file given with --config, else its environment variable"
    assert first in help_text(capsys, file_wins=True)


def test_help_begins_with_the_docstring_or_what_the_program_says_of_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "usage: test [options] Options for a test. options:" in help_text(capsys)
    with pytest.raises(SystemExit):
        read(Options, "test", ["--help"], {}, about="\nMeasures.\n\n    test --rate 1\n")
    assert "usage: test [options]\n\nMeasures.\n\n    test --rate 1\n" in capsys.readouterr().out


def test_help_names_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_text(capsys)
    assert "how fast [0.5; TEST_RATE]" in shown
    assert "what to read [required; TEST_DATA]" in shown
    assert "how many [none; TEST_LIMIT]" in shown
    assert "which engine [off; TEST_ENGINE]" in shown
    assert "of what [1,2; TEST_SIZES]" in shown
    assert "--kind none|full|part" in shown
    assert "--sizes [INT ...]" in shown
    assert "--others [KEY=VALUE ...]" in shown
    assert "[TEST_CONFIG]" in shown
    assert "from the environment only: TEST_TOKEN an API key" in shown


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("options.toml", "data = ['a']\nrate = 1e-5\nengine = {rate = 2.5e3, exact = true}\n"),
        ("options.yaml", "data: [a]\nrate: 1e-5\nengine: {rate: 2.5E+3, exact: true}\n"),
        ("options.yml", "data: a\nrate: 1.0e-05\nengine: rate=2.5e+3,exact=true\n"),
        ("options.json", '{"data": "a", "rate": 1e-5, "engine": {"rate": 2500, "exact": true}}'),
    ],
)
def test_a_file_is_toml_yaml_or_json_by_its_suffix(name: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(content)
    options = read(Options, "test", ["--config", str(file)], {})
    assert options == Options(("a",), 1e-5, engine={"rate": 2500, "exact": True})


def test_toml_is_read_without_pyyaml_and_yaml_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("data = ['a']\n")
    (tmp_path / "a.yaml").write_text("data: [a]\n")
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from redraft.server.options import read_file\n"
        "from pathlib import Path\n"
        "print(read_file(Path('a.toml')))\n"
        "try: read_file(Path('a.yaml'))\n"
        "except ValueError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [
        "{'data': ['a']}",
        "a.yaml is YAML, which needs PyYAML: pip install pyyaml, or write it as TOML",
    ]


def test_key_value_pairs_or_the_shorthand_give_a_mapping() -> None:
    assert given("--engine", "exact").engine == {"model": "exact"}
    pairs = given("--engine", "model=m", "rate=1e-5", "exact=yes", "parts=[a, b]").engine
    assert pairs == {"model": "m", "rate": 1e-5, "exact": True, "parts": ["a", "b"]}
    assert given("--engine", "none").engine == {}
    assert given("--others", "exact", "model=m,seed=1").others == (
        {"model": "exact"},
        {"model": "m", "seed": 1},
    )


def test_lists_have_the_type_of_their_values() -> None:
    assert given("--sizes", "3", "4", "--sizes", "5").sizes == (3, 4, 5)
    assert given(environ={"TEST_SIZES": "3,4"}).sizes == (3, 4)
    assert given("--sizes").sizes == ()
    assert given("--stage", "2", "--output", "there").output == Path("there")


def test_a_flag_can_be_switched_off_and_a_number_unset() -> None:
    assert given("--no-check").check is False
    assert given("--limit", "none", environ={"TEST_LIMIT": "3"}).limit is None


def test_the_word_none_is_a_choice_where_it_is_one() -> None:
    assert given("--kind", "none").kind == "none"
    assert build(Options, {"data": ["a"], "kind": "none"}, "test").kind == "none"


def test_a_required_option_can_be_positional(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Report:
        """Reports."""

        folders: tuple[Path, ...] = option("with results", positional="FOLDER")
        title: str = option("of the page", "Measured")

    two = Report((Path("a"), Path("b")), "Mine")
    assert read(Report, "report", ["a", "b", "--title", "Mine"], {}) == two
    assert read(Report, "report", ["--title", "Mine", "a", "b"], {}) == two
    assert read(Report, "report", ["--folders", "a", "b", "--title", "Mine"], {}) == two
    with pytest.raises(ConfigError, match="report needs FOLDER: with results"):
        read(Report, "report", [], {})
    with pytest.raises(SystemExit):
        read(Report, "report", ["--help"], {})
    assert "usage: report FOLDER ... [options]" in capsys.readouterr().out


def test_what_plain_values_leave_out_comes_from_the_environment() -> None:
    environ = {"TEST_RATE": "0.1", "TEST_LIMIT": "5"}
    options = build(Options, {"data": ["a"], "rate": 0.2}, "test", environ, "TEST_")
    assert options == Options(("a",), rate=0.2, limit=5)
    assert build(Options, {"data": ["a"]}, "test") == Options(("a",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": ["a"], "rates": 1}, "unknown test option rates; did you mean rate?"),
        ({"data": ["a"], "zzz": 1}, "unknown test option zzz; known: check, data, engine"),
        ({}, "test needs --data: what to read"),
        ({"data": ["a"], "rate": "fast"}, "test option 'rate' is 'fast', expected float"),
        ({"data": ["a"], "rate": None}, "test option 'rate' is None, expected float"),
        ({"data": ["a"], "limit": 1.5}, "test option 'limit' is 1.5, expected int"),
        ({"data": ["a"], "limit": 0}, "test option 'limit' is 0; the least is 1"),
        ({"data": ["a"], "kind": "half"}, "is 'half', expected one of none, full, part"),
        ({"data": ["a"], "kind": None}, "is None, expected one of none, full, part"),
        ({"data": ["a"], "stage": 3}, "is 3, expected one of 1, 2"),
        ({"data": ["a"], "check": "maybe"}, "is 'maybe', expected true or false"),
        ({"data": ["a"], "engine": ["a=1", "b"]}, "has 'b', expected KEY=VALUE"),
        ({"data": ["a"], "engine": 3}, "is 3, expected KEY=VALUE or a table"),
        ({"data": ["a"], "sizes": ["one"]}, "is 'one', expected int"),
        ({"data": 3}, "test option 'data' is 3, expected a list"),
    ],
)
def test_the_message_about_a_wrong_option_says_what_is_right(
    content: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        build(Options, content, "test")
    assert message in str(error.value)


def test_a_misspelled_variable_of_the_program_is_an_error_and_others_are_not() -> None:
    with pytest.raises(ConfigError, match="unknown environment variable TEST_LIMITS; did you mean"):
        given(environ={"TEST_LIMITS": "1"})
    assert given(environ={"TEST_PATIENCE": "1", "REDRAFT_RATES": "1"}) == Options(("a",))


def test_a_file_that_holds_no_options_is_named(tmp_path: Path) -> None:
    for name, content in (("a.yaml", "[1, 2]"), ("a.json", json.dumps("x"))):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigError, match=f"{name} holds .*, expected options"):
            given("--config", str(tmp_path / name))
    (tmp_path / "b.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"cannot read .*b\.yaml"):
        given("--config", str(tmp_path / "b.yaml"))
