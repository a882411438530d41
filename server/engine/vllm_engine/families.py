"""Which of vLLM's parsers tell a model's thoughts and tool calls from its text.

A model's family is its ``model_type``; whether it thinks or calls tools at all, and in which form,
is read from its chat template. How to add a family: a row in ``FAMILIES`` and in
tests/server/engine/vllm_engine/test_families.py.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redraft.server.engine.vllm_engine.arguments import chat_template
from redraft.server.engine.vllm_engine.settings import VllmSettings
from redraft.server.engine.vllm_engine.templates import read_json, template_of


@dataclass(frozen=True, slots=True)
class Marked:
    """A parser of vLLM, for templates that mention ``mark``."""

    name: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    model_types: tuple[str, ...]  # the beginnings of config.json's model_type
    thoughts: tuple[Marked, ...] = ()  # the first whose mark is in the template is used
    tools: tuple[Marked, ...] = ()


_HERMES = Marked("hermes", "<tool_call>")
_R1 = Marked("deepseek_r1", "<｜Assistant｜>")  # noqa: RUF001  distilled into other families
_MISTRAL = Marked("mistral", "[TOOL_CALLS]")
# Where no family says otherwise.
_THINK = (Marked("qwen3", "enable_thinking"),)
_CALL = (Marked("qwen3_xml", "<function="), _HERMES, _MISTRAL)

FAMILIES = (
    ModelFamily(("qwen3",), (Marked("qwen3", "<think>"),), _CALL),
    ModelFamily(("qwen2",), (_R1, Marked("deepseek_r1", "<think>")), _CALL),
    ModelFamily(
        ("llama4",),
        tools=(Marked("llama4_pythonic", "tools"),),
    ),
    ModelFamily(
        ("llama",),
        (_R1, *_THINK),
        (
            Marked("llama3_json", "<|python_tag|>"),
            Marked("llama3_json", "ipython"),
            *_CALL,
        ),
    ),
    ModelFamily(
        ("deepseek_v32",),
        (Marked("deepseek_v3"),),
        (Marked("deepseek_v32"),),
    ),
    ModelFamily(("deepseek_v4",), (Marked("deepseek_v4"),), (Marked("deepseek_v4"),)),
    ModelFamily(
        ("deepseek_v3",),
        (Marked("deepseek_v3", "thinking"), Marked("deepseek_r1", "<think>")),
        (Marked("deepseek_v31", "thinking"), Marked("deepseek_v3", "tool")),
    ),
    ModelFamily(("gpt_oss",), (Marked("openai_gptoss"),), (Marked("openai"),)),
    ModelFamily(("glm4_moe",), (Marked("glm45", "<think>"),), (Marked("glm45", "<tool_call>"),)),
    ModelFamily(("gemma4",), (Marked("gemma4"),), (Marked("gemma4", "tools"),)),
    ModelFamily(("gemma3",), tools=(Marked("functiongemma", "<start_function_call>"),)),
    ModelFamily(("mistral", "ministral"), (Marked("mistral", "[THINK]"),), (_MISTRAL,)),
    ModelFamily(("granitemoehybrid",), tools=(Marked("granite4", "tools"),)),
    ModelFamily(("granite",), (Marked("granite", "thinking"),), (Marked("granite", "tools"),)),
    ModelFamily(("kimi_k2",), (Marked("kimi_k2", "think"),), (Marked("kimi_k2", "tool"),)),
    ModelFamily(("minimax_m2",), (Marked("minimax_m2", "think"),), (Marked("minimax_m2", "tool"),)),
    ModelFamily(("ernie4_5",), (Marked("ernie45", "think"),), (Marked("ernie45", "tool"),)),
    ModelFamily(("seed_oss",), (Marked("seed_oss", "think"),), (Marked("seed_oss", "tool"),)),
    ModelFamily(
        ("hunyuan",),
        (Marked("hunyuan_a13b", "think"),),
        (Marked("hunyuan_a13b", "tool"),),
    ),
    ModelFamily(("step3",), (Marked("step3", "think"),), (Marked("step3", "tool"),)),
    ModelFamily(("olmo3",), (Marked("olmo3", "think"),), (Marked("olmo3", "function"),)),
    ModelFamily(("nemotron",), (Marked("nemotron_v3", "enable_thinking"),), _CALL),
    ModelFamily(("phi3",), tools=(Marked("phi4_mini_json", "<|tool|>"),)),
    ModelFamily(("lfm2",), tools=(Marked("lfm2", "tool"),)),
    ModelFamily(("internlm",), tools=(Marked("internlm", "tool"),)),
    ModelFamily(("jamba",), tools=(Marked("jamba", "tool"),)),
)
_OTHERS = ModelFamily((), _THINK, _CALL)


def parsers(settings: VllmSettings) -> tuple[str | None, str | None]:
    """The parsers of thoughts and of tool calls that an engine has; None where there is none."""
    chosen = (settings.reasoning_parser, settings.tool_call_parser)
    known: tuple[str | None, str | None] = (None, None)
    if "auto" in chosen:
        template = None
        with suppress(OSError):  # vLLM looks elsewhere, too, and says what is wrong
            template = chat_template(settings.extra_args)
        known = parsers_of(settings.model, template)
    named = (k if c == "auto" else c for c, k in zip(chosen, known, strict=True))
    thoughts, tools = (None if name == "none" else name for name in named)
    return thoughts, tools


def parsers_of(model: Path, template: str | None = None) -> tuple[str | None, str | None]:
    """vLLM's names of the parsers of thoughts and of tool calls; None where a model in this
    directory has neither or is not known. ``template``: one used in place of the model's own."""
    config = read_json(model / "config.json")
    model_type = str(config.get("model_type") or "")
    template = template_of(model) if template is None else template
    if not template:
        return None, None
    family = next((f for f in FAMILIES if model_type.startswith(f.model_types)), _OTHERS)
    return _first(family.thoughts, template), _first(family.tools, template)


def _first(parsers: tuple[Marked, ...], template: str) -> str | None:
    return next((parser.name for parser in parsers if parser.mark in template), None)
