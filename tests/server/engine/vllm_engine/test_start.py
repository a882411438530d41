"""Starting vLLM: what cannot work says so in one line, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import VllmEngine, start
from redraft.server.engine.vllm_engine.settings import check_model_directory
from redraft.server.engine.vllm_engine.start import command_line
from tests.support import tiny_model
from tests.support.tiny_engine import engine_processes, running_engine, tiny_settings

MIB = 1 << 20
OFF = {"HF_HUB_OFFLINE": "0"}
CACHED_SHAPES = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


def write(directory: Path, **files: str) -> None:
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(content)


NAMED = json.dumps({"architectures": ["LlamaForCausalLM"]})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "no model directory at .*holds the weights"),
        ({}, "is not a model: it has no config.json"),
        ({"config__json": "{"}, "is not a JSON object"),
        ({"config__json": "[]"}, "is not a JSON object"),
        ({"config__json": "{}"}, "names no architectures"),
        ({"config__json": NAMED}, "has no tokenizer.json"),
        ({"config__json": NAMED, "tokenizer__json": "{}"}, "has no weights"),
        (
            {"config__json": NAMED, "tokenizer__json": "{}", "pytorch_model__bin": ""},
            "its weights as pickles, which can hold code",
        ),
    ],
)
def test_a_directory_that_is_no_model_is_refused_in_one_line(
    tmp_path: Path, files: dict[str, str] | None, message: str
) -> None:
    directory = tmp_path / "model"
    if files is not None:
        write(directory, **files)
    with pytest.raises(EngineError, match=message) as refused:
        check_model_directory(directory)
    assert "\n" not in str(refused.value)


def test_a_directory_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model", config__json=NAMED)
    (tmp_path / "model" / "config.json").unlink()
    (tmp_path / "model" / "config.json").mkdir()  # root may read any file, but not this
    with pytest.raises(EngineError, match=r"cannot read .*config\.json: Is a directory"):
        check_model_directory(tmp_path / "model")


def test_extra_arguments_come_last_and_win(tmp_path: Path) -> None:
    settings = tiny_settings(tiny_model_at(tmp_path), extra_args=("--block-size", "64"))
    words = command_line(settings)
    assert words[-2:] == ["--block-size", "64"]
    assert words.index("--block-size") < len(words) - 2
    assert words[words.index("--scheduling-policy") + 1] == "priority"


def tiny_model_at(tmp_path: Path) -> Path:
    """As far as a command line goes."""
    write(tmp_path, config__json=NAMED)
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _logs_of_failed_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def cut_weights(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])


def unknown_architecture(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["architectures"] = ["NoSuchForCausalLM"]
    (model / "config.json").write_text(json.dumps(config))


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_cache_memory_bytes": MIB}, "KV cache of 1 MiB holds .* lower max_model_len"),
        ({"kv_cache_memory_bytes": 1 << 50}, "do not fit the .* lower kv_cache_memory_bytes"),
        ({"max_model_len": 100_000}, "max_model_len"),
        ({"dtype": "float7"}, "vLLM does not take these settings: .*float7"),
        ({"extra_args": ("--no-such-option",)}, "unrecognized arguments: --no-such-option"),
        ({"block_size": 16}, "No common block size for 16"),
        ({"tensor_parallel_size": 3}, "divisible by tensor parallel size"),
        ({"extra_args": ("--chat-template", "/none.jinja")}, "chat template"),
        (
            {"extra_args": ("--enable-auto-tool-choice", "--tool-call-parser", "none")},
            "has not been registered",
        ),
    ],
)
def test_settings_that_cannot_work_are_told_in_one_line(
    model: Path, changes: dict[str, Any], message: str
) -> None:
    assert_refused(model, message, **changes)


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("spoil", "message"),
    [(cut_weights, "did not start: .*header"), (unknown_architecture, "NoSuchForCausalLM")],
)
def test_a_model_vllm_cannot_load_is_told_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tiny_model.build(tmp_path))
    assert_refused(tmp_path, message)


def assert_refused(model: Path, message: str, **changes: Any) -> None:
    with pytest.raises(EngineError, match=message) as refused:
        asyncio.run(VllmEngine.start(tiny_settings(model, **changes), lambda line: None))
    assert "\n" not in str(refused.value)


@pytest.mark.vllm
def test_starting_tells_what_takes_long(model: Path) -> None:
    # Room for a full window and no more.
    with running_engine(model, kv_cache_memory_bytes=(tiny_model.WINDOW + 32) * 1536) as running:
        heard = [running.reports.get(timeout=10) for _ in range(4)]
    assert heard[0] == "importing vLLM"
    assert "weights" in heard[2]
    assert heard[3].startswith("ready after ")


@pytest.mark.vllm
def test_a_start_that_is_cancelled_leaves_no_process(model: Path) -> None:
    import psutil

    already = engine_processes()

    async def cancel_while_loading() -> None:
        loading = asyncio.Event()

        def hear(line: str) -> None:
            if "weights" in line:
                loading.set()

        starting = asyncio.create_task(VllmEngine.start(tiny_settings(model), hear))
        await loading.wait()
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()

    asyncio.run(cancel_while_loading())
    _, alive = psutil.wait_procs(engine_processes() - already, timeout=120)
    assert not alive


SERVE = """
import asyncio, sys
from pathlib import Path
from tests.support.tiny_engine import tiny_settings
from redraft.server.engine.vllm_engine import VllmEngine

async def main():
    await VllmEngine.start(tiny_settings(Path(sys.argv[1])), lambda line: None)
    print("serving", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.vllm
def test_the_engine_dies_with_a_server_that_is_killed(model: Path) -> None:
    import psutil

    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(model)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server:
        assert server.stdout.readline() == "serving\n"
        engine = psutil.Process(server.pid).children(recursive=True)
        assert engine
        server.kill()
    _, alive = psutil.wait_procs(engine, timeout=120)
    assert not alive


ASK_FOR_LOGPROBS = """
import asyncio, sys
from pathlib import Path
from tests.support.tiny_engine import tiny_settings
from redraft.server.engine.vllm_engine import VllmEngine
from redraft.server.engine.vllm_engine.warm_up import warm_up

async def main():
    engine = await VllmEngine.start(tiny_settings(Path(sys.argv[1])), lambda line: None)
    await warm_up(engine._core._llm, speculates=False, by_priority=True)
    await engine.close()

asyncio.run(main())
"""


@pytest.mark.vllm
def test_on_a_cpu_nothing_is_compiled_at_its_first_use(model: Path, tmp_path: Path) -> None:
    if not start.on_cpu():
        pytest.skip("this vLLM is not the one for CPUs")
    compiled = tmp_path / "compiled"
    command = [sys.executable, "-c", ASK_FOR_LOGPROBS, str(model)]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(compiled)}
    environment.pop("TORCH_COMPILE_DISABLE", None)  # of an engine that ran in this process
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    assert not compiled.exists() or not list(compiled.iterdir())


@pytest.mark.vllm
def test_few_shapes_are_kept_on_a_cpu_unless_the_operator_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not start.on_cpu():
        pytest.skip("this vLLM is not the one for CPUs")
    for given, kept in ({}, "256"), ({CACHED_SHAPES: "9"}, "9"):
        monkeypatch.setattr(os, "environ", dict(given))
        start._prepare_environment(tiny_settings(tmp_path))
        assert os.environ[CACHED_SHAPES] == kept


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("from_hub", "given", "kept"), [(False, {}, "1"), (True, {}, None), (False, OFF, "0")]
)
def test_vllm_asks_the_hub_only_for_a_model_that_comes_from_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    from_hub: bool,
    given: dict[str, str],
    kept: str | None,
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    start._prepare_environment(tiny_settings(tiny_model_at(tmp_path), from_hub=from_hub))
    assert os.environ.get("HF_HUB_OFFLINE") == kept


def test_a_model_that_lacks_a_part_of_its_weights_is_refused(tmp_path: Path) -> None:
    index = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "lost"}})
    named = {"config__json": NAMED, "tokenizer__json": "{}"}
    write(tmp_path, **named, **{"model-00001-of-00002__safetensors": ""})
    write(tmp_path, **{"model__safetensors__index__json": index})
    with pytest.raises(EngineError, match="is not complete: it has no lost; copy it again"):
        check_model_directory(tmp_path)
    write(tmp_path, **{"model__safetensors__index__json": "[]"})
    with pytest.raises(EngineError, match=r"index\.json cannot be read"):
        check_model_directory(tmp_path)
