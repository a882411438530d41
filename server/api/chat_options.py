"""What a chat asks for beyond words: tools, a choice among them, variables of the template."""

from __future__ import annotations

from typing import Any

from redraft.server.api.errors import invalid
from redraft.server.api.schema.requests import ChatRequest
from redraft.server.api.schema.tools import Tool
from redraft.server.engine.base import PLAIN, ChatOptions, Engine

# What renders a chat, which is the server's affair; chat_template_kwargs are the template's own
# variables.
RENDERING = frozenset(
    {
        *("messages", "conversation", "tools", "chat_template", "tokenizer_kwargs"),
        *("add_generation_prompt", "continue_final_message"),
        *("tokenize", "padding", "truncation", "max_length"),
        *("return_tensors", "return_dict", "return_assistant_tokens_mask"),
    }
)


def options_of(request: ChatRequest, engine: Engine, effort: str | None) -> ChatOptions:
    """``effort``: what the model itself is told about how much to think."""
    if taken := sorted(RENDERING & (request.chat_template_kwargs or {}).keys()):
        message = f"{taken[0]} is no variable of the chat template; leave it out"
        raise invalid(f"chat_template_kwargs.{taken[0]}", message)
    tools = tuple(tool.model_dump(exclude_unset=True) for tool in request.tools or ())
    options = ChatOptions(
        tools=tools,
        tool_choice=_choice(request) if tools else None,
        parallel_tool_calls=request.parallel_tool_calls if tools else None,
        template_kwargs=request.chat_template_kwargs or {},
        reasoning_effort=effort,
    )
    if options.calls_tools and not engine.calls_tools:
        message = (
            "tools need a parser of this model's tool calls, and the server has none; start it "
            "with --tool-call-parser NAME, or leave tools out"
        )
        raise invalid("tools", message, "unsupported_parameter")
    return PLAIN if options == PLAIN else options


def _choice(request: ChatRequest) -> str | dict[str, Any] | None:
    choice = request.tool_choice
    if not isinstance(choice, Tool):
        return choice
    names = [tool.function.name for tool in request.tools or ()]
    if choice.function.name not in names:
        message = f"tool_choice names {choice.function.name!r}; the tools are {', '.join(names)}"
        raise invalid("tool_choice", message)
    return choice.model_dump()
