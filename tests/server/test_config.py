"""The server's options: where they come from, which wins, and the message about a wrong one."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from redraft.server import config
from redraft.server.config import ServerConfig
from redraft.server.engine.http_engine import Upstream
from redraft.server.engine.vllm_engine import VllmSettings
from redraft.server.options import ConfigError, flag, variable
from redraft.server.options.key_files import read_key

FIELDS = dataclasses.fields(ServerConfig)
SECRETS = [field for field in FIELDS if field.metadata.get("secret")]
OPTIONS = [field for field in FIELDS if not field.metadata.get("secret")]


def read(*arguments: str, **environ: str) -> ServerConfig:
    return config.read(arguments, environ)


def help_text(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit:
        read("--help")
    assert exit.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_a_default_of_an_engine_is_written_once() -> None:
    """The engine declares it, and the configuration refers to it."""
    declared = ast.parse(inspect.getsource(ServerConfig)).body[0]
    assert isinstance(declared, ast.ClassDef)
    defaults = {
        ast.unparse(field.target): ast.unparse(field.value.args[1])
        for field in declared.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.value, ast.Call)
        and ast.unparse(field.value.func) == "option"
    }
    shared = {f"upstream_{f.name}": f"Upstream.{f.name}" for f in dataclasses.fields(Upstream)}
    del shared["upstream_tokens"]  # auto, yes, no: known by other words
    shared |= {f.name: f"VllmSettings.{f.name}" for f in dataclasses.fields(VllmSettings)}
    del shared["model"]  # nothing is served by default but what is shipped
    common = shared.keys() & defaults.keys()
    assert len(common) >= 16
    assert {name: defaults[name] for name in common} == {name: shared[name] for name in common}


def test_without_any_option_the_defaults_hold() -> None:
    assert read() == ServerConfig()
    assert (read().host, read().port, read().engine) == ("127.0.0.1", 8000, "vllm")


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path,
) -> None:
    file = tmp_path / "redraft.toml"
    file.write_text('port = 1\nmax-loops = 1\nmax_queue = 1\nlog_level = "error"\n')
    chosen = read("--config", str(file), "--port", "3", REDRAFT_PORT="2", REDRAFT_MAX_LOOPS="2")
    assert (chosen.port, chosen.max_loops, chosen.max_queue, chosen.log_level) == (3, 2, 1, "error")
    assert chosen.grace_s == ServerConfig().grace_s


def test_the_file_can_be_named_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "redraft.toml"
    file.write_text("port = 9001\n")
    assert read(REDRAFT_CONFIG=str(file)).port == 9001


@pytest.mark.parametrize("field", OPTIONS, ids=lambda field: field.name)
def test_help_shows_every_option_with_its_variable(
    field: dataclasses.Field[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_text(capsys)
    assert flag(field.name) in text
    assert f"; {variable(field.name)}]" in text.replace("- ", "-")


@pytest.mark.parametrize("field", SECRETS, ids=lambda field: field.name)
def test_a_secret_comes_from_the_environment_only_and_is_never_shown(
    field: dataclasses.Field[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    chosen = config.read([], {variable(field.name): "hush"})
    assert getattr(chosen, field.name) == "hush"
    assert "hush" not in repr(chosen)
    assert variable(field.name) in help_text(capsys)
    with pytest.raises(ConfigError, match="unknown option"):
        read(flag(field.name), "hush")
    file = tmp_path / "redraft.toml"
    file.write_text(f'{field.name} = "hush"\n')
    with pytest.raises(ConfigError, match=variable(field.name)) as error:
        read("--config", str(file))
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--prot", "1"], {}, "unknown option --prot; did you mean --port"),
        (["--max-loop=4"], {}, "did you mean --max-loops"),
        (["--zzzz"], {}, "known: --api-keys-file, --block-size, --body-timeout-s"),
        (["one", "two"], {}, "'two' is one too many"),
        (["--port"], {}, "expected one argument"),
        (["--port", "many"], {}, "--port is 'many', expected int"),
        (["--port", "-1"], {}, "--port is -1; the least is 0"),
        (["--port", "65536"], {}, "the highest is 65535"),
        (["--engine", "tgi"], {}, "--engine is 'tgi', expected one of vllm, http, scripted"),
        ([], {"REDRAFT_PROT": "1"}, "unknown environment variable REDRAFT_PROT; did you mean"),
        ([], {"REDRAFT_PORT": "tcp://10.0.0.1:8000"}, "enableServiceLinks: false"),
        ([], {"REDRAFT_OPEN_ACCESS": "maybe"}, "expected true or false"),
        ([], {"REDRAFT_CONFIG": "nowhere.toml"}, "cannot read --config nowhere.toml"),
        (["--good-enough", "11"], {}, "scores go from 1 to 10"),
        (["--max-iterations", "9"], {}, "raise the cap"),
        (["--max-share", "1.5"], {}, "from 0 to 1"),
        (["--max-loops", "0"], {}, "--max-loops is 0; the least is 1"),
        (["--engine", "http"], {}, "--engine http needs --upstream"),
        (["--upstream", "http://127.0.0.1:1/v1"], {}, "the engine is vllm"),
        (["--upstream-priority"], {}, "the engine is vllm"),
        (["--upstream-tokens", "no"], {}, "are for --engine http"),
        (["--upstream-between-s", "0"], {}, "the least is 0.001"),
        (["--critic", "strong"], {}, "expected NAME=URL"),
        (["--critic", "strong=ftp://x"], {}, "expected NAME=URL"),
        (["--critic", "a=http://x", "--critic", "a=http://y"], {}, "have the same name"),
    ],
)
def test_the_message_about_a_wrong_option_says_what_is_right(
    arguments: list[str], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        config.read(arguments, environ)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prot = 1", "did you mean port?"),
        ("port = ", "cannot read --config"),
        ("port = true", "expected int"),
        ('port = "x"', "port in"),
        ("host = 1", "expected str"),
        ('critic = "a=http://x"\ncors_origins = 3', "expected a list"),
    ],
)
def test_the_message_about_a_wrong_file_says_what_is_right(
    content: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "redraft.toml"
    file.write_text(content)
    with pytest.raises(ConfigError) as error:
        read("--config", str(file))
    assert message in str(error.value)


def test_variables_of_other_programs_are_left_alone() -> None:
    assert read(REDRAFT_SFT_EPOCHS="3", REDRAFT_SERVICE_HOST="10.0.0.1") == ServerConfig()


def test_a_list_is_repeated_flags_or_commas_or_a_toml_list(tmp_path: Path) -> None:
    both = ("http://a", "http://b")
    file = tmp_path / "redraft.toml"
    file.write_text('cors_origins = ["http://a", "http://b"]\n')
    flags = ["--cors-origins", "http://a", "--cors-origins", "http://b"]
    assert read(*flags).cors_origins == both
    assert read(REDRAFT_CORS_ORIGINS="http://a, http://b").cors_origins == both
    assert read("--config", str(file)).cors_origins == both


def test_a_switch_can_be_turned_off_again() -> None:
    assert read("--no-enforce-eager", REDRAFT_ENFORCE_EAGER="true").enforce_eager is False
    assert read(REDRAFT_ENFORCE_EAGER="yes").enforce_eager is True
    assert read().enforce_eager is None


def test_the_model_can_be_given_without_its_flag() -> None:
    flagged = read("--model", "runs/mine", "--port", "1")
    assert read("runs/mine", "--port", "1") == read("--port", "1", "runs/mine") == flagged


def test_a_critic_has_a_name_an_address_and_maybe_a_model() -> None:
    chosen = read("--critic", "a=http://x/v1", "--critic", "b=https://y/v1|big").critics
    assert [(c.name, c.url, c.model) for c in chosen] == [
        ("a", "http://x/v1", ""),
        ("b", "https://y/v1", "big"),
    ]


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the key file"):
        read_key("", str(tmp_path / "none"))
    (tmp_path / "key").write_text("sk-1\n")
    assert read_key("", str(tmp_path / "key")) == "sk-1"
    assert read_key("given", str(tmp_path / "key")) == "given"
