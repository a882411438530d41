"""Parsers by family: read from a model's files, without vLLM and without its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.server.engine.vllm_engine.families import FAMILIES, parsers, parsers_of
from redraft.server.engine.vllm_engine.settings import VllmSettings

THINKS = "{% if enable_thinking %}<think>{% endif %}"
HERMES = "{% if tools %}<tool_call>{% endif %}"


def model(folder: Path, model_type: str, template: str | list[dict[str, str]] | None) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    config = {} if template is None else {"chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("model_type", "template", "thoughts", "tools"),
    [
        ("qwen3", THINKS + HERMES, "qwen3", "hermes"),
        ("qwen3_moe", HERMES, None, "hermes"),  # one that only answers
        ("qwen3_next", "<tool_call>\n<function=", None, "qwen3_xml"),
        ("qwen2", HERMES, None, "hermes"),
        ("qwen2", "<｜Assistant｜>", "deepseek_r1", None),  # noqa: RUF001
        ("llama", "{{ message.content }}", None, None),
        ("llama", "Environment: ipython", None, "llama3_json"),
        ("llama", HERMES, None, "hermes"),
        ("llama4", "tools", None, "llama4_pythonic"),
        ("smollm3", THINKS + HERMES, "qwen3", "hermes"),
        ("mistral", "[TOOL_CALLS]", None, "mistral"),
        ("mistral3", "[THINK] [TOOL_CALLS]", "mistral", "mistral"),
        ("deepseek_v3", "{% if thinking %} tools", "deepseek_v3", "deepseek_v31"),
        ("deepseek_v3", "<think> tool", "deepseek_r1", "deepseek_v3"),
        ("gpt_oss", "<|channel|>", "openai_gptoss", "openai"),
        ("glm4_moe", "<think> <tool_call>", "glm45", "glm45"),
        ("granite", "thinking tools", "granite", "granite"),
        ("unheard_of", "{{ message.content }}", None, None),
    ],
)
def test_a_family_and_its_template_decide(
    tmp_path: Path, model_type: str, template: str, thoughts: str | None, tools: str | None
) -> None:
    assert parsers_of(model(tmp_path, model_type, template)) == (thoughts, tools)


def test_a_template_in_a_file_of_its_own_is_read(tmp_path: Path) -> None:
    model(tmp_path, "qwen3", None)
    (tmp_path / "chat_template.jinja").write_text(THINKS + HERMES, encoding="utf-8")
    assert parsers_of(tmp_path) == ("qwen3", "hermes")


def test_one_of_several_templates_is_enough(tmp_path: Path) -> None:
    templates = [{"name": "default", "template": "x"}, {"name": "tool_use", "template": HERMES}]
    assert parsers_of(model(tmp_path, "llama", templates)) == (None, "hermes")


def test_a_folder_without_a_template_has_neither(tmp_path: Path) -> None:
    assert parsers_of(model(tmp_path, "gpt_oss", None)) == (None, None)
    assert parsers_of(tmp_path / "nothing") == (None, None)


@pytest.mark.vllm
def test_vllm_has_every_parser_that_is_named_here() -> None:
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    thoughts = {parser.name for family in FAMILIES for parser in family.thoughts}
    tools = {parser.name for family in FAMILIES for parser in family.tools}
    assert thoughts <= set(ReasoningParserManager.list_registered())
    assert tools <= set(ToolParserManager.list_registered())


@pytest.mark.parametrize("form", ["--chat-template={}", "--chat_template={}", "--chat-template|{}"])
def test_the_template_that_is_used_decides(tmp_path: Path, form: str) -> None:
    mine = tmp_path / "mine.jinja"
    mine.write_text(THINKS + HERMES, encoding="utf-8")
    settings = VllmSettings(model(tmp_path, "qwen3", "{{ message.content }}"))
    assert parsers(settings) == (None, None)
    earlier = "--chat-template={{ of several the last is used }}"
    chosen = replace(settings, extra_args=(earlier, *form.format(mine).split("|")))
    assert parsers(chosen) == ("qwen3", "hermes")


def test_a_template_may_be_given_as_text(tmp_path: Path) -> None:
    settings = VllmSettings(
        model(tmp_path, "qwen3", THINKS), extra_args=("--chat-template", HERMES)
    )
    assert parsers(settings) == (None, "hermes")


def test_a_template_that_cannot_be_read_is_for_vllm_to_refuse(tmp_path: Path) -> None:
    settings = VllmSettings(model(tmp_path, "qwen3", HERMES), extra_args=("--chat-template=none",))
    assert parsers(settings) == (None, "hermes")
