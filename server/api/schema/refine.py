"""The requests of ``/v1/refine`` and ``/v1/feedback``.

The fields of the ``refine`` object are at the top level. All fields are ours, so an unknown one is
refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from redraft.server.api.schema.requests import (
    ChatMessage,
    ChatRequest,
    Checks,
    FeedbackBy,
    MinP,
    PhaseSampling,
    RefineOptions,
    Seed,
    StopSequences,
    Temperature,
    Tokens,
    TopK,
    TopP,
)
from redraft.server.api.schema.strict import Closed, contradiction
from redraft.server.api.schema.structure import ResponseFormat

Messages = Annotated[list[ChatMessage], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "stop", "seed")
_SHARED = frozenset(["model", *_SAMPLING, "response_format"])


class Instructed(Closed):
    """An instruction, as a chat or as one text."""

    model: str | None = Field(None, description="a name of /v1/models; left out: the first of them")
    messages: Messages | None = Field(None, description="a chat whose last user turn is answered")
    prompt: Text | None = Field(None, description="the instruction itself, instead of messages")
    seed: Seed | None = None

    @model_validator(mode="after")
    def _one_instruction(self) -> Instructed:
        if self.messages is None and self.prompt is None:
            raise contradiction("messages", "is required, or prompt in its place")
        if self.messages is not None and self.prompt is not None:
            raise contradiction("prompt", "give this or messages, not both")
        return self

    @property
    def instruction_param(self) -> str:
        """The field that holds the instruction, for errors about it."""
        return "prompt" if self.messages is None else "messages"

    def chat(self) -> ChatRequest:
        """A chat with the fields that both have."""
        names = type(self).model_fields.keys() & _SHARED
        shared = {name: getattr(self, name) for name in names}
        return ChatRequest.model_construct(messages=self.messages or [], **shared)


class RefineRequest(Instructed, RefineOptions):
    response: Text | None = Field(None, description="an existing response to improve")
    stream: bool | None = Field(None, description="send every phase while it is written")
    temperature: Temperature | None = Field(None, description="of drafts")
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    max_tokens: Tokens | None = Field(None, description="of each response")
    max_completion_tokens: Tokens | None = Field(
        None, description="of everything generated: drafts, feedback and refinements"
    )
    stop: StopSequences | None = None
    response_format: ResponseFormat | None = Field(
        None, description="what drafts and refinements must match; feedback is free"
    )

    @model_validator(mode="after")
    def _consistent(self) -> RefineRequest:
        if self.response is None:
            return self
        for name in ("drafts", "combine", "draft", "temperature"):
            if getattr(self, name) is not None:
                raise contradiction(name, "is about drafts, and none is written: response is given")
        if self.max_iterations == 0:
            raise contradiction("max_iterations", "is 0, but response asks for an improvement")
        return self


class FeedbackRequest(Instructed):
    response: Text = Field(description="what the feedback is about")
    feedback_by: FeedbackBy | None = Field(
        None, description="model, checks, or the name of a critic"
    )
    critic: str | None = Field(None, description="a critic by name")
    checks: Checks | Literal["auto"] | None = Field(
        None, description="what a program verifies; its findings are the feedback"
    )
    feedback_votes: Tokens | None = Field(None, description="so many feedbacks, as in refine")
    deadline_ms: Tokens | None = None
    feedback_sampling: PhaseSampling | None = None

    def options(self) -> RefineOptions:
        return RefineOptions(
            feedback_by=self.feedback_by,
            critic=self.critic,
            checks=self.checks,
            feedback_votes=self.feedback_votes,
            deadline_ms=self.deadline_ms,
            feedback_sampling=self.feedback_sampling,
        )
