"""`redraft doctor`: what it finds right and wrong, and what it says to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redraft.server.cli import main
from redraft.server.refine.checks import KINDS
from tests.support import tiny_model, tiny_vision_model
from tests.support.bare import without_extras
from tests.support.serving import serving
from tests.support.upstream import Scene

MIB = 1 << 20
POLITE = "tests.support.polite_checks"
Examine = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    """The exit code, and the findings by their topic."""

    def examine(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        code = main(["doctor", *arguments, "--json", "--port", "0"])
        found = json.loads(capsys.readouterr().out)
        assert found["can_be_served"] == (code == 0)
        return code, {row["topic"]: row for row in (*found["machine"], *found["findings"])}

    return examine


def test_an_engine_without_a_model_can_be_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--engine", "scripted", "--port", "0"]) == 0
    shown = capsys.readouterr().out
    assert "python  " in shown
    assert "WRONG" not in shown
    assert shown.endswith("scripted can be served\n")


def test_a_port_in_use_and_an_open_address_are_wrong(
    capsys: pytest.CaptureFixture[str], examine: Examine
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["doctor", "--engine", "scripted", "--port", port]) == 1
    shown = capsys.readouterr().out
    assert f"WRONG: cannot listen on 127.0.0.1 port {port}" in shown
    assert "do: stop what uses it, or choose another with --host and --port" in shown
    assert "scripted cannot be served: one thing is wrong" in shown
    code, found = examine("--engine", "scripted", "--host", "0.0.0.0")
    assert code == 1
    assert "--api-keys-file" in found["api keys"]["remedy"]


def test_an_upstream_is_asked_what_it_has(examine: Examine) -> None:
    with serving(Scene().app()) as served:
        code, found = examine("--engine", "http", "--upstream", served.v1)
        assert code == 0
        assert found["phases"]["text"].startswith("token ids")
    code, found = examine("--engine", "http", "--upstream", served.v1)
    assert code == 1
    assert found["model"]["wrong"]


def test_without_vllm_it_says_how_to_install_it(root: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "redraft.server.cli", "doctor", "--port", "0"],
        cwd=root,
        env={**os.environ, **without_extras(tmp_path, root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shown.returncode == 1, shown.stderr
    assert "WRONG: not installed" in shown.stdout
    assert "do: run: redraft install cpu, or serve an engine elsewhere" in shown.stdout
    assert "not looked at: transformers comes with vLLM" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no model directory at nowhere"),
        (["x.gguf"], "x.gguf names a GGUF file"),
    ],
)
def test_a_name_that_stands_for_nothing_is_wrong(
    examine: Examine, arguments: list[str], message: str
) -> None:
    code, found = examine(*arguments)
    assert code == 1
    assert message in found["model"]["text"]
    assert found["model"]["remedy"]


def test_an_option_that_does_not_exist_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--prot", "1"]) == 2
    assert "redraft doctor: unknown option --prot; did you mean --port" in capsys.readouterr().err


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("doctor") / "tiny")


@pytest.mark.vllm
def test_a_model_that_can_be_served_is_described(examine: Examine, model: Path) -> None:
    code, found = examine(str(model))
    assert code == 0
    assert found["architecture"]["text"] == "LlamaForCausalLM"
    assert found["window"]["text"] == f"{tiny_model.WINDOW} tokens"
    assert found["kv cache"]["text"].startswith("268 MB, ")
    assert found["template"]["text"] == (
        "knows system messages; does not know tools, enable_thinking"
    )
    assert found["tokenizer"]["text"].startswith(f"fast; {tiny_model.VOCABULARY} tokens")
    assert found["thoughts"]["text"].startswith("not told apart")
    assert found["tool calls"]["text"].startswith("tools are refused")
    assert "style srt" in found["manifest"]["text"]
    assert "images and other parts are refused" in found["messages"]["text"]


@pytest.mark.vllm
def test_a_model_that_sees_is_described(examine: Examine, tmp_path: Path) -> None:
    seeing = tiny_vision_model.build(tmp_path / "seeing")
    # As repositories have it that keep the template with what prepares images.
    template = (seeing / "chat_template.jinja").read_text()
    (seeing / "chat_template.jinja").unlink()
    (seeing / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    code, found = examine(str(seeing))
    assert code == 0
    assert found["architecture"]["text"] == "Idefics3ForConditionalGeneration"
    assert found["window"]["text"] == f"{tiny_model.WINDOW} tokens"
    assert found["template"]["text"].startswith("knows system messages; does not know tools")
    assert found["messages"]["text"].startswith("text, vision; as data: URLs, or from a host")


def without_template(model: Path) -> None:
    (model / "chat_template.jinja").unlink()


def with_a_template_that_thinks(model: Path) -> None:
    template = (model / "chat_template.jinja").read_text()
    thinks = "{% if enable_thinking %}<think>{% endif %}{{ tools }}{# <tool_call> #}"
    (model / "chat_template.jinja").write_text(template + thinks)


def with_a_template_without_end(model: Path) -> None:
    template = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"
    (model / "chat_template.jinja").write_text(template)


def with_another_tokenizer(model: Path) -> None:
    path = model / "tokenizer.json"
    path.write_text(path.read_text() + "\n")


def of_another_kind(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "architectures": ["NoSuchForLM"]}))


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("spoil", "options", "topic", "remedy"),
    [
        (without_template, [], "template", "--engine-arg chat-template=FILE"),
        (with_a_template_without_end, [], "template", "--engine-arg chat-template=FILE"),
        (with_another_tokenizer, [], "manifest", "copy the model again"),
        (of_another_kind, [], "architecture", "a model of another architecture"),
        (without_weights, [], "files", "has no weights"),
        (None, ["--kv-cache-memory-bytes", str(MIB)], "kv cache", "or lower --max-model-len"),
        (None, ["--kv-cache-memory-bytes", str(1 << 50)], "kv cache", "lower --kv-cache-memory"),
        (None, ["--max-model-len", "9999"], "window", f"lower it to {tiny_model.WINDOW}"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_with_a_model_is_said_with_what_to_do(
    examine: Examine,
    model: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None] | None,
    options: list[str],
    topic: str,
    remedy: str,
) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    if spoil:
        spoil(copy)
    code, found = examine(str(copy), *options)
    assert code == 1
    assert found[topic]["wrong"]
    assert remedy in found[topic]["remedy"]


@pytest.mark.vllm
@pytest.mark.parametrize("form", ["chat-template=", "chat-template ", "chat_template="])
def test_a_template_given_apart_is_the_one_looked_at(
    examine: Examine, model: Path, tmp_path: Path, form: str
) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    template = shutil.move(copy / "chat_template.jinja", tmp_path / "own.jinja")
    (copy / "redraft.json").unlink()
    assert examine(str(copy), "--engine-arg", f"{form}{template}")[0] == 0
    code, found = examine(str(copy), "--engine-arg", f"{form}/none.jinja")
    assert code == 1
    assert found["template"]["text"] == "cannot read /none.jinja: No such file or directory"


@pytest.mark.vllm
def test_what_a_template_knows_is_found_by_rendering(
    examine: Examine, model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    with_a_template_that_thinks(copy)
    (copy / "redraft.json").unlink()
    code, found = examine(str(copy))
    assert code == 0
    assert found["template"]["text"] == "knows system messages, tools, enable_thinking"
    assert found["thoughts"]["text"].startswith("told apart by vLLM's parser qwen3")
    assert found["tool calls"]["text"].startswith("read by vLLM's parser hermes")
    assert found["manifest"]["text"].startswith("no redraft.json")
    assert "structured output" in found["feedback"]["text"]
    code, found = examine(str(copy), "--style", "srt")
    assert code == 1
    assert found["manifest"]["remedy"] == "leave --style out"


def test_the_checks_the_words_and_the_critics_of_a_server_are_tried(
    examine: Examine, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Mend this: {feedback}")
    try:
        with serving(Scene().app()) as served:
            code, found = examine(
                *("--engine", "scripted", "--checks", f"{POLITE}:checks"),
                *("--refinement-request", str(words), "--critic", f"strong={served.v1}"),
            )
    finally:
        for name in ("polite", "broken"):
            KINDS.pop(name, None)
    assert code == 0
    assert found["checks"]["text"] == f"{POLITE}:checks: polite, broken"
    assert found["requests"]["text"] == f"refinement in the words of {words}"
    assert found["critic"]["text"].startswith("strong is ")


@pytest.mark.parametrize(
    ("arguments", "topic", "message"),
    [
        (["--checks", "nowhere:checks"], "checks", "'nowhere:checks' cannot be imported"),
        (["--checks", f"{POLITE}:failing"], "checks", "failed: KeyError: 'no such word'"),
        (["--checks", f"{POLITE}:twice"], "checks", "two checks of one name: polite"),
        (["--feedback-request", "none.txt"], "requests", "No such file"),
        (["--refinement-request", __file__], "requests", "the request for refinement has"),
        (["--critic", "strong=http://127.0.0.1:9/v1"], "critic", "engine 'strong' at http://127"),
        (["--critic", "off=http://127.0.0.1:9/v1"], "critics", "a critic has the name 'off'"),
    ],
)
def test_what_serve_would_refuse_beside_the_model_is_wrong(
    examine: Examine, arguments: list[str], topic: str, message: str
) -> None:
    code, found = examine("--engine", "scripted", *arguments)
    assert code == 1
    assert found[topic]["wrong"]
    assert message in found[topic]["text"]


@pytest.mark.vllm
def test_where_the_default_cannot_be_had_it_names_what_is_served_and_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert main(["doctor", "--port", "0", "--cache-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "model redraft-workbench" in shown
    assert "redraft-smollm2 cannot be served here, so redraft-workbench is: pip finds no" in shown
    assert "do: check the network, the proxy and pip's index" in shown
    assert shown.endswith("redraft-workbench can be served\n")
