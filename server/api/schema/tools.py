"""Tools and the choice among them, as OpenAI's chats have them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from redraft.server.api.schema.strict import Open


class Function(Open):
    name: Annotated[str, Field(min_length=1)]


class Tool(Open):
    """A tool the model may call, or the one it must call."""

    type: Literal["function"]
    function: Function


class CalledFunction(Open):
    name: Annotated[str, Field(min_length=1)]
    arguments: str  # JSON, as the model wrote it


class CalledTool(Open):
    """A call in the history of a chat."""

    id: str = ""
    type: Literal["function"] = "function"
    function: CalledFunction


def _kind_of_choice(choice: Any) -> str:
    return "named-tool" if isinstance(choice, dict | Tool) else "tool-choice"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("tool-choice")]
    | Annotated[Tool, Tag("named-tool")],
    Discriminator(_kind_of_choice),
]
