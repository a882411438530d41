"""Unsupported: fields of OpenAI's requests that do not work with refinement. None is ignored.

Those in DIRECT work without refinement (``NAME:direct``) on an engine with an OpenAI layer of its
own; those in NOWHERE are always refused. How to add a field: a row in one of the two tables, a
row in tests/server/api/test_direct.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from redraft.server.api.errors import ApiError, invalid
from redraft.server.api.schema.requests import ChatRequest, CompletionRequest, Generation

# With one of these values a field has no effect.
_NOTHING: tuple[Any, ...] = (None, False, 0, "", [], {})
HasEffect = Callable[[Any], bool]  # of a field's value


def _anything(value: Any) -> bool:
    return value not in _NOTHING


def _other_than(*usual: Any) -> HasEffect:
    return lambda value: value is not None and value not in usual


# Supported in direct mode, by an engine that has an OpenAI layer of its own.
DIRECT: Mapping[str, HasEffect] = {
    "functions": _anything,
    "function_call": _other_than("none", "auto"),
    "best_of": _other_than(1),
    "echo": _anything,
    "suffix": _anything,
    # vLLM's own
    "add_generation_prompt": _other_than(True),
    "add_special_tokens": _other_than(False),
    "allowed_token_ids": _anything,
    "bad_words": _anything,
    "cache_salt": _anything,
    "chat_template": _anything,
    "continue_final_message": _anything,
    "documents": _anything,
    "ec_transfer_params": _anything,
    "include_stop_str_in_output": _anything,
    "kv_transfer_params": _anything,
    "length_penalty": _other_than(1, 1.0),
    "logprob_token_ids": _anything,
    "media_io_kwargs": _anything,
    "mm_payload": _anything,
    "mm_processor_kwargs": _anything,
    "priority": _anything,
    "prompt_embeds": _anything,
    "prompt_logprobs": lambda value: value is not None,
    "repetition_detection": _anything,
    "return_mm_kwargs": _anything,
    "return_prompt_text": _anything,
    "return_token_ids": _anything,
    "return_token_offsets": _anything,
    "return_tokens_as_token_ids": _anything,
    "routed_experts_prompt_start": _anything,
    "skip_special_tokens": _other_than(True),
    "spaces_between_special_tokens": _other_than(True),
    "stream_interval": _other_than(1),
    "thinking_token_budget": _anything,
    "truncate_prompt_tokens": _anything,
    "truncation_side": _anything,
    "use_beam_search": _anything,
    "vllm_xargs": _anything,
    "watermarking": _anything,
}

# Supported in no mode.
NOWHERE: Mapping[str, HasEffect] = {
    "audio": _anything,
    "modalities": _other_than(["text"], []),
    "moderation": _anything,
    "web_search_options": lambda value: value is not None,
    **dict.fromkeys(
        (
            "guided_json",
            "guided_regex",
            "guided_choice",
            "guided_grammar",
            "guided_decoding_backend",
            "guided_whitespace_pattern",
        ),
        _anything,
    ),
}


def check(request: Generation) -> None:
    """Refuse the fields that no mode of this server supports."""
    for name in sorted(_fields_of(request) & NOWHERE.keys()):
        if NOWHERE[name](_value(request, name)):
            instead = "use structured_outputs" if name.startswith("guided_") else "leave it out"
            message = f"{name} is not supported by this server; {instead}"
            raise invalid(name, message, "unsupported_parameter")


def needs_direct(request: Generation) -> str | None:
    """The first field that needs direct mode."""
    for name in sorted(_fields_of(request) & DIRECT.keys()):
        if DIRECT[name](_value(request, name)):
            return name
    return next(_needing_direct(request), None)


def refused(name: str, model: str) -> ApiError:
    """For a request that combines refinement with the field ``name``."""
    message = f"{name} cannot be combined with refinement; leave it out, or ask {model}:direct"
    return invalid(name, message, "unsupported_with_refinement")


def no_layer(name: str) -> ApiError:
    """For a direct request to an engine that has no OpenAI layer."""
    message = f"{name} is not supported by the engine of this server; leave it out"
    return invalid(name, message, "unsupported_parameter")


def _needing_direct(request: Generation) -> Iterator[str]:
    """Fields that need it by what is in them."""
    form = request.response_format
    if form is not None and form.type == "structural_tag":
        yield "response_format.type"
    if isinstance(request, ChatRequest):
        for index, message in enumerate(request.messages):
            if message.role == "function" or (message.model_extra or {}).get("function_call"):
                yield f"messages[{index}].role"
    elif isinstance(request, CompletionRequest) and _is_batch(request):
        yield "prompt"


def _is_batch(request: CompletionRequest) -> bool:
    """Several prompts in one request."""
    prompt = request.prompt
    return isinstance(prompt, list) and not isinstance(prompt[0], int) and len(prompt) > 1


def _fields_of(request: Generation) -> set[str]:
    """The fields set in a request, those of the engine's own layer included."""
    return request.model_fields_set | (request.model_extra or {}).keys()


def _value(request: Generation, name: str) -> Any:
    if name in type(request).model_fields:
        return getattr(request, name)
    return (request.model_extra or {}).get(name)
