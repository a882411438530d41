"""The operator's options for a vLLM engine, and the checks that need no vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine.adapters import Adapter

WEIGHTS = "*.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth")  # weights as PyTorch saves them: they can hold code
MIB = 1 << 20


@dataclass(frozen=True)
class VllmSettings:
    """One vLLM engine. None means a default for the processor: see ``start.command_line``."""

    model: Path  # a directory with weights, config.json, tokenizer.json and a chat template
    name: str = "default"
    served_name: str = ""  # empty: the name of the directory
    dtype: str = "auto"
    max_model_len: int | None = None  # None: what the model was made for
    kv_cache_memory_bytes: int | None = None  # None: see memory.py; what is free on a GPU
    block_size: int | None = None  # None: 32 on a CPU, so that short prefixes are cached too
    max_num_seqs: int = 64
    enforce_eager: bool | None = None  # None: on a CPU, where compiling costs 11 to 26 s
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    from_hub: bool = False  # its code may be in another repository of the hub
    reasoning_parser: str = "auto"  # vLLM's name of it; "auto": by family; "none": none
    tool_call_parser: str = "auto"
    in_process: bool = True  # on a CPU, one replica: the worker is in the engine's process, forked
    speculates: bool = False  # from what a call is expected to write
    adapters: tuple[Adapter, ...] = ()  # what ``Call.adapter`` may name
    warm_up: bool = True  # use once, in the background, what is compiled or loaded at first use
    engine_stall_s: float = 120.0  # no output for so long while completions run; 0: never
    form_compile_s: float = 10.0  # of a processor's time, for one required form; 0: no limit
    max_restarts: int = 3  # attempts at once to bring a dead engine back; the next ones wait
    first_wait_s: float = 30.0  # before those, doubled at each
    extra_args: tuple[str, ...] = ()  # as vLLM's own command line spells them; they win

    @property
    def model_name(self) -> str:
        return self.served_name or self.model.resolve().name


def check_model_directory(model: Path) -> list[str]:
    """The architectures of the model; EngineError, in one line, if vLLM could not serve it."""
    config = model / "config.json"
    try:
        if not model.is_dir():
            raise EngineError(
                f"no model directory at {model}; give the directory that holds the weights"
            )
        files = {path.name for path in model.iterdir()}
        architectures = json.loads(config.read_text(encoding="utf-8")).get("architectures")
    except FileNotFoundError as error:
        raise EngineError(f"{model} is not a model: it has no config.json") from error
    except OSError as error:
        raise EngineError(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise EngineError(f"{model} is not a model: {config} is not a JSON object") from error
    if not architectures:
        raise EngineError(f"{model} is not a model: {config} names no architectures")
    if missing := what_is_missing(files):
        raise EngineError(f"{model} {missing}")
    if lost := sorted(_shards(model) - files):
        raise EngineError(f"{model} is not complete: it has no {lost[0]}; copy it again")
    return [str(architecture) for architecture in architectures]


def what_is_missing(files: Iterable[str]) -> str | None:
    """What a model with these files lacks, as an error says it; None when they are enough."""
    names = set(files)
    if "config.json" not in names:
        return "is not a model: it has no config.json"
    if "tokenizer.json" not in names:
        return "has no tokenizer.json, which token-exact phases need"
    if any(Path(name).match(WEIGHTS) for name in names):
        return None
    if any(Path(name).match(pattern) for name in names for pattern in PICKLES):
        return (
            f"has its weights as pickles, which can hold code, and not as {WEIGHTS}; load it with "
            f"transformers where you trust it and save_pretrained() writes them so"
        )
    return f"has no weights ({WEIGHTS})"


def _shards(model: Path) -> set[str]:
    """The files that the index of the weights names; none where there is no index."""
    index = model / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{model} is not a model: {index} cannot be read") from error


def weight_bytes(model: Path) -> int:
    return sum(path.stat().st_size for path in model.glob(WEIGHTS))
