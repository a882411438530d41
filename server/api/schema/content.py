"""Content: what a message says, and what a client predicts of an answer: a text, or parts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from redraft.server.api.schema.strict import Open


class Part(Open):
    type: str
    text: str | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Part:
        if self.type == "text" and self.text is None:
            raise PydanticCustomError("missing", "is required", {"field": "text"})
        return self


def _kind_of_content(content: Any) -> str:
    return "parts-content" if isinstance(content, list) else "text-content"


Content = Annotated[
    Annotated[str, Tag("text-content")] | Annotated[list[Part], Tag("parts-content")],
    Discriminator(_kind_of_content),
]


class TextPart(Open):
    type: Literal["text"]
    text: str


PredictedContent = Annotated[
    Annotated[str, Tag("text-content")] | Annotated[list[TextPart], Tag("parts-content")],
    Discriminator(_kind_of_content),
]


class Prediction(Open):
    """Text that the client expects."""

    type: Literal["content"]
    content: PredictedContent

    @property
    def text(self) -> str:
        content = self.content
        return content if isinstance(content, str) else "".join(part.text for part in content)
