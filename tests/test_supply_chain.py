"""What is fetched and loaded holds no code, unless the operator asks for it.
Spans: server, train, benchmarks, models"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from redraft.server.engine.vllm_engine import VllmSettings
from redraft.server.engine.vllm_engine.settings import PICKLES, what_is_missing

SOURCES = ("server", "train", "benchmarks", "clients", "redraft")
# Modules that run what they read, and functions of torch that do.
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def sources(root: Path) -> list[Path]:
    return [file for name in SOURCES for file in (root / name).rglob("*.py")]


def test_no_source_reads_pickles_or_trusts_remote_code(root: Path) -> None:
    for file in sources(root):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.partition(".")[0] for alias in node.names}
                names |= {getattr(node, "module", None) or ""}
                assert not names & UNSAFE_MODULES, file
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                raise AssertionError(f"{file} decides whether code of a model is run")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "eval"):
                raise AssertionError(f"{file} calls {ast.unparse(node.func)}")


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_weights_are_safetensors_or_none(pickled: str) -> None:
    assert any(Path(pickled).match(pattern) for pattern in PICKLES)
    files = ["config.json", "tokenizer.json"]
    assert "can hold code" in str(what_is_missing([*files, pickled]))
    assert what_is_missing([*files, "model.safetensors"]) is None


def test_what_is_shipped_is_safetensors(root: Path) -> None:
    shipped = [file for file in (root / "models").rglob("*") if file.is_file()]
    assert any(file.suffix == ".safetensors" for file in shipped)
    assert not [file for file in shipped for pattern in PICKLES if file.match(pattern)]


@pytest.mark.vllm
@pytest.mark.parametrize(("asked", "trusted"), [((), False), (("--trust-remote-code",), True)])
def test_code_of_a_model_is_run_only_if_the_operator_says_so(
    tmp_path: Path, asked: tuple[str, ...], trusted: bool
) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    from redraft.server.engine.vllm_engine.start import command_line

    settings = VllmSettings(tmp_path, kv_cache_memory_bytes=1 << 20, extra_args=asked)
    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
    chosen, _ = parser.parse_known_args(command_line(settings))
    assert chosen.trust_remote_code is trusted
