"""Prompts and samplings as the fields of OpenAI's requests, vLLM's additions to them included."""

from __future__ import annotations

import json
from typing import Any

from redraft.server.engine.base import (
    ChatOptions,
    Constraint,
    EngineRefused,
    Prompt,
    Sampling,
    Tokens,
)

Fields = dict[str, Any]
THINKING = ("enable_thinking", "thinking")  # what chat templates call it


def prompt_fields(prompt: Prompt) -> Fields:
    """Of /completions for Tokens, of /chat/completions for a Chat."""
    if isinstance(prompt, Tokens):
        return {"prompt": list(prompt.ids)}
    fields: Fields = {"messages": [message.to_json() for message in prompt.messages]}
    options = prompt.options
    if options.tools:
        fields["tools"] = list(options.tools)
        fields["tool_choice"] = options.tool_choice or "auto"
    if options.tools and options.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    if options.reasoning_effort is not None:
        fields["reasoning_effort"] = options.reasoning_effort
    return fields


def template_kwargs(options: ChatOptions, switches: tuple[str, ...]) -> Fields:
    """The variables of the chat template; ``switches`` are those by which the model thinks or does
    not."""
    think, effort = options.think, options.reasoning_effort
    if effort is not None and think is None:
        think = effort != "none"
    thinking = {} if think is None else dict.fromkeys(switches, think)
    reasoning = {} if effort is None else {"reasoning_effort": effort}
    return {**reasoning, **thinking, **options.template_kwargs}


def template_fields(options: ChatOptions, switches: tuple[str, ...]) -> Fields:
    """What else than its messages a chat is rendered from, as vLLM takes it."""
    fields: Fields = {"tools": list(options.tools)} if options.tools else {}
    kwargs = template_kwargs(options, switches)
    return fields | ({"chat_template_kwargs": kwargs} if kwargs else {})


def vllm_fields(options: ChatOptions, switches: tuple[str, ...]) -> Fields:
    """The options of a chat that only vLLM takes."""
    fields = template_fields(options, switches)
    if options.think_tokens is not None and options.think is not False:
        fields["thinking_token_budget"] = options.think_tokens
    return fields


def sampling_fields(sampling: Sampling, *, chat: bool) -> Fields:
    """All of a sampling but its constraint."""
    fields: Fields = sampling.numbers()
    if sampling.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    if sampling.ignore_eos:
        fields["ignore_eos"] = True
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.stop_token_ids:
        fields["stop_token_ids"] = list(sampling.stop_token_ids)
    if sampling.logprobs is not None:
        wanted = {"logprobs": True, "top_logprobs": sampling.logprobs}
        fields |= wanted if chat else {"logprobs": sampling.logprobs}
    return fields


def constraint_fields(constraint: Constraint, *, vllm: bool) -> Fields:
    kind, value = constraint.kind, constraint.value
    parsed: Any = None
    if kind in ("json_schema", "choice"):
        try:
            parsed = json.loads(value)
        except ValueError as error:
            raise EngineRefused(f"{kind} is not JSON: {error}") from error
    if kind == "choice" and not _are_words(parsed):
        raise EngineRefused("choice must be a JSON list of one or more strings")
    if vllm:
        values = {
            "json_object": True,
            "json_schema": parsed,
            "choice": parsed,
            # xgrammar takes a line break in an expression only when it is escaped.
            "regex": value.replace("\n", r"\n"),
        }
        field = "json" if kind == "json_schema" else kind
        return {"structured_outputs": {field: values.get(kind, value)}}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    if kind == "json_schema":
        schema = {"name": "answer", "schema": parsed}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    raise EngineRefused(f"a {kind} constraint needs a vLLM upstream; use a JSON schema instead")


def _are_words(choices: Any) -> bool:
    return isinstance(choices, list) and bool(choices) and all(isinstance(c, str) for c in choices)
