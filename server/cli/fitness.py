"""What the doctor finds in a model: what serving it takes, and what its files say and lack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redraft.server.build.fetching import size
from redraft.server.build.names import ModelFiles
from redraft.server.cli.chat_template import template_findings
from redraft.server.cli.diagnosis import Diagnosis
from redraft.server.cli.machine import installed
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import VllmSettings, memory
from redraft.server.engine.vllm_engine.arguments import chat_template
from redraft.server.engine.vllm_engine.families import parsers
from redraft.server.engine.vllm_engine.media import ALLOWING
from redraft.server.engine.vllm_engine.model_classes import import_classes, unknown_architectures
from redraft.server.engine.vllm_engine.number_format import suited
from redraft.server.engine.vllm_engine.settings import check_model_directory, what_is_missing
from redraft.server.refine import manifest
from redraft.server.refine.manifest import Manifest, ManifestError


def model_findings(
    files: ModelFiles, config: ServerConfig, settings: VllmSettings, on_cpu: bool
) -> Iterator[Diagnosis]:
    """``settings``: those the engine would start with."""
    if files.bytes_to_come:
        yield Diagnosis(
            "fetched", f"{size(files.bytes_to_come)} are fetched when it is first served"
        )
    if not files.directory.is_dir():
        return
    yield Diagnosis("directory", str(files.directory))
    try:
        architectures = _architectures(files)
    except EngineError as error:
        yield Diagnosis.of_error("files", error)
        return
    yield _architecture(architectures)
    described = memory.read_config(files.directory)
    settings = suited(settings) if on_cpu and installed("vllm") else settings
    weights = memory.loaded_bytes(settings, files.bytes_to_come)
    yield _size(described, weights, settings)
    yield _window(described, settings)
    if on_cpu:
        yield _kv_cache(described, weights, settings)
    yield from _templates(files, settings)
    yield from _parsers(settings)
    recorded = None
    try:
        recorded = manifest.read(files.directory)
        yield _style(recorded, config)
    except ManifestError as error:
        yield Diagnosis.of_error("manifest", error)
    yield _constraint(recorded)
    yield _media(described)


def _architectures(files: ModelFiles) -> list[str]:
    if not files.bytes_to_come:
        return check_model_directory(files.directory)
    names = [path.name for path in files.directory.iterdir()]
    if missing := what_is_missing([*names, "model.safetensors"]):  # the weights are to come
        raise EngineError(f"{files.name} {missing}")
    content = memory.read_config(files.directory)
    return [str(name) for name in content.get("architectures") or ["none"]]


def _architecture(architectures: list[str]) -> Diagnosis:
    text = ", ".join(architectures)
    if not installed("vllm"):
        return Diagnosis(
            "architecture", f"{text}; whether vLLM knows it can be seen once it is here"
        )
    if unknown := unknown_architectures(architectures):
        return Diagnosis(
            "architecture",
            f"this vLLM does not know {', '.join(unknown)}",
            "serve a model of another architecture, or install a newer vLLM",
            wrong=True,
        )
    try:
        import_classes(architectures)
    except EngineError as error:
        return Diagnosis.of_error("architecture", error)
    return Diagnosis("architecture", text)


def _size(described: dict[str, Any], weights: int, settings: VllmSettings) -> Diagnosis:
    stored = described.get("dtype") or described.get("torch_dtype") or "unknown"
    if settings.dtype in ("auto", stored):
        return Diagnosis("size", f"{size(weights)} of weights, {stored}")
    return Diagnosis("size", f"{size(weights)} of weights, {settings.dtype} (stored as {stored})")


def _window(described: dict[str, Any], settings: VllmSettings) -> Diagnosis:
    made_for = memory.window_of(described)
    chosen = settings.max_model_len
    if chosen and made_for and chosen > made_for:
        return Diagnosis(
            "window",
            f"--max-model-len is {chosen}, and the model was made for {made_for} tokens",
            f"lower it to {made_for}",
            wrong=True,
        )
    return Diagnosis("window", f"{chosen or made_for or 'unknown'} tokens")


def _kv_cache(described: dict[str, Any], weights: int, settings: VllmSettings) -> Diagnosis:
    chosen = settings.kv_cache_memory_bytes or memory.default_kv_bytes(settings)
    free = memory.available_bytes()
    per_token = memory.kv_bytes_per_token(described, settings.dtype)
    window = settings.max_model_len or memory.window_of(described)
    if not per_token or not window:
        return Diagnosis("kv cache", f"{size(chosen)}")
    one = memory.window_bytes(per_token, window, settings.block_size)
    text = f"{size(chosen)}, {chosen // per_token} tokens; a full window takes {size(one)}"
    if chosen < one:
        remedy = f"give it --kv-cache-memory-bytes {one}, or lower --max-model-len"
        return Diagnosis("kv cache", f"{text}, more than it has", remedy, wrong=True)
    if weights + chosen > free:
        left = max(0, free - weights) // per_token // 2
        remedy = (
            f"lower --max-model-len, to {left // 1024 * 1024} for instance"
            if left >= 1024 and one == chosen
            else "lower --kv-cache-memory-bytes, free some memory or choose a smaller model"
        )
        text += f"; with the weights that is more than the {size(free)} that are free"
        return Diagnosis("kv cache", text, remedy, wrong=True)
    return Diagnosis("kv cache", text)


def _templates(files: ModelFiles, settings: VllmSettings) -> Iterator[Diagnosis]:
    try:
        chosen = chat_template(settings.extra_args)
    except OSError as error:
        text, remedy = f"cannot read {error.filename}: {error.strerror}", "name a file with one"
        yield Diagnosis("template", text, remedy, wrong=True)
    else:
        yield from template_findings(files.directory, chosen)


def _parsers(settings: VllmSettings) -> Iterator[Diagnosis]:
    """What tells thoughts and tool calls from text; a template says whether there are any."""
    thoughts, tools = parsers(settings)
    text = f"told apart by vLLM's parser {thoughts}" if thoughts else "not told apart from the text"
    yield Diagnosis("thoughts", f"{text} (another: --reasoning-parser NAME)")
    text = f"read by vLLM's parser {tools}" if tools else "tools are refused"
    yield Diagnosis("tool calls", f"{text} (another: --tool-call-parser NAME)")


def _style(recorded: Manifest | None, config: ServerConfig) -> Diagnosis:
    if recorded is None:
        if config.style == "srt":
            text = f"none, and --style srt needs the {manifest.NAME} that training writes"
            return Diagnosis("manifest", text, "leave --style out", wrong=True)
        return Diagnosis("manifest", f"no {manifest.NAME}: the model is asked in chat messages")
    style = recorded.style if config.style == "auto" else config.style
    policy = recorded.policy
    return Diagnosis(
        "manifest",
        f"{manifest.NAME} fits tokenizer and template; style {style}, "
        f"{policy.max_iterations} iteration(s), keep {policy.keep}",
    )


def _constraint(recorded: Manifest | None) -> Diagnosis:
    if recorded and recorded.style == "srt":
        return Diagnosis("feedback", "in the form that the model was trained to write")
    if installed("xgrammar"):
        return Diagnosis("feedback", "can be held to its form, by vLLM's structured output")
    return Diagnosis(
        "feedback",
        "cannot be held to its form: xgrammar is not installed",
        "run: redraft install cpu (with an NVIDIA GPU: redraft install cuda)",
    )


def _media(described: dict[str, Any]) -> Diagnosis:
    kinds = [kind for kind in ("vision", "audio") if f"{kind}_config" in described]
    if kinds:
        text = f"text, {', '.join(kinds)}; as data: URLs, or from a host allowed by {ALLOWING}"
        return Diagnosis("messages", text)
    return Diagnosis("messages", "text; images and other parts are refused")
