"""The requests of the OpenAI API and the ``refine`` object in them, as they come over the wire.

Unknown top-level fields are accepted, as by other OpenAI-compatible servers. Inside ``refine``,
which is ours, an unknown field is refused as a typo. Types are strict: "2" is not a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from redraft.server.api.schema.content import Content, Prediction
from redraft.server.api.schema.strict import Closed, Open, contradiction
from redraft.server.api.schema.structure import ResponseFormat, StructuredOutputs
from redraft.server.api.schema.tools import CalledTool, Tool, ToolChoice
from redraft.server.refine.checks.schema import checks_schema
from redraft.server.refine.policy import Combine, Keep, Think

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
INT64 = 2**63 - 1

Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
TopK = Annotated[int, Field(ge=-1, le=INT64, description="-1 or 0: all tokens")]
MinP = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
RepetitionPenalty = Annotated[float, Field(gt=0, le=100)]
Seed = Annotated[int, Field(ge=-INT64 - 1, le=INT64)]
Tokens = Annotated[int, Field(ge=1, le=INT64)]
NonNegativeInt = Annotated[int, Field(ge=0, le=INT64)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
StopString = Annotated[str, Field(min_length=1, max_length=1000)]
StopSequences = StopString | Annotated[list[StopString], Field(max_length=16)]


FeedbackBy = Annotated[str, Field(min_length=1)]
Checks = Annotated[list[dict[str, Any]], Field(json_schema_extra=checks_schema())]


class SamplingFields(BaseModel):
    """How a text is sampled."""

    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: RepetitionPenalty | None = None
    max_tokens: Tokens | None = None
    min_tokens: NonNegativeInt | None = None
    ignore_eos: bool | None = None
    stop: StopSequences | None = None


class PhaseSampling(Closed, SamplingFields):
    """How one phase is sampled, where it differs from the rest."""


class RefineOptions(Closed):
    """How one request is refined. The model's manifest decides what is left out."""

    max_iterations: NonNegativeInt | None = Field(default=None, description="0: no refinement")
    good_enough: Annotated[int, Field(ge=1, le=10)] | None = Field(
        default=None,
        description="a response with this score is not refined any further; null: none is",
    )
    keep: Keep | None = Field(default=None, description="which response is the answer")
    drafts: Tokens | None = Field(default=None, description="so many drafts, side by side")
    combine: Combine | None = Field(
        default=None,
        description="what is refined: the best of the drafts, or all candidates into one answer",
    )
    subset: Tokens | None = Field(
        default=None,
        description="so many candidates, drawn at random, for each refinement that combines them",
    )
    feedback: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="your own feedback, for the first iteration"
    )
    feedback_by: FeedbackBy | None = Field(
        default=None,
        description="who gives feedback: model, checks, off (nobody), or the name of a critic; "
        "left out: checks where there are any, else the model",
    )
    critic: str | None = Field(
        default=None, description="a critic by name; the older way to say feedback_by"
    )
    checks: Checks | Literal["auto"] | None = Field(
        default=None,
        description="constraints that a program verifies on each response, until all of them "
        "hold; docs/checks.md has their kinds; auto: the model reads them out of the instruction",
    )
    feedback_votes: Tokens | None = Field(
        default=None,
        description="so many feedbacks on each response: good enough is what most of them say, "
        "the score is their mean, the text that of the one in the middle",
    )
    token_budget: NonNegativeInt | None = Field(
        default=None, description="most completion tokens beyond the first draft"
    )
    deadline_ms: Tokens | None = Field(
        default=None, description="then the best response so far is taken"
    )
    think: Think | None = Field(
        default=None, description="the phases in which a reasoning model thinks"
    )
    think_tokens: Tokens | None = Field(
        default=None, description="most tokens of thoughts in one phase"
    )
    draft: PhaseSampling | None = None
    feedback_sampling: PhaseSampling | None = None
    refinement: PhaseSampling | None = None
    trace: bool | None = Field(
        default=None, description="return every draft, feedback and refinement"
    )


class Reasoning(Closed):
    """How much to think, as OpenRouter and OpenAI spell it."""

    effort: Effort | None = None
    enabled: bool | None = None
    exclude: bool | None = Field(default=None, description="true: as include_reasoning: false")
    # OpenAI's hints for summaries of hidden thoughts; here all of them are shown.
    summary: str | None = None
    generate_summary: str | None = None


class ChatMessage(Open):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    name: str | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    # Clients send these back with the history; they are left out of prompts.
    reasoning: Any = None
    reasoning_content: Any = None

    @model_validator(mode="after")
    def _has_content(self) -> ChatMessage:
        if self.content is None and self.role != "assistant":
            raise PydanticCustomError("missing", "is required", {"field": "content"})
        return self


class StreamOptions(Open):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None


class Generation(Open, SamplingFields):
    """What chat and completions have in common."""

    model: str | None = Field(
        default=None, description="a name of /v1/models; left out: the first of them"
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = Field(default=None, description="of each response")
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: Seed | None = None
    temperature: Temperature | None = Field(default=None, description="of drafts")
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    user: str | None = None
    stop_token_ids: list[TokenId] | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    refine: RefineOptions | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def continuous_usage(self) -> bool:
        """Whether every chunk of a stream has the usage so far, as in vLLM."""
        continuous = self.stream_options and self.stream_options.continuous_usage_stats
        return self.include_usage and bool(continuous)

    @property
    def num_logprobs(self) -> int | None:
        """Alternatives to tell for each token of the answer; None: no log probabilities."""
        return None

    @model_validator(mode="after")
    def _consistent(self) -> Generation:
        if self.stream_options is not None and not self.stream:
            raise contradiction("stream_options", "is only for requests with stream: true")
        if self.response_format and self.structured_outputs:
            raise contradiction("structured_outputs", "give this or response_format, not both")
        efforts = {self.reasoning_effort, self.reasoning and self.reasoning.effort} - {None}
        if len(efforts) > 1:
            raise contradiction("reasoning.effort", "differs from reasoning_effort; give one")
        for token in self.logit_bias or {}:
            if not token.isascii() or not token.isdigit() or len(token) > 9:
                raise contradiction("logit_bias", "its keys should be token ids, such as '1024'")
        most = self.max_tokens
        if self.min_tokens is not None and most is not None and self.min_tokens > most:
            raise contradiction("min_tokens", f"is {self.min_tokens}, more than max_tokens {most}")
        return self


class ChatRequest(Generation):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Tokens | None = Field(
        default=None, description="of everything generated: drafts, feedback and refinements"
    )
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    modalities: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = Field(default=None, description="left out: auto")
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    include_reasoning: bool | None = None
    prediction: Prediction | None = Field(
        default=None, description="expected text, from which a server that speculates guesses"
    )

    @property
    def num_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    @model_validator(mode="after")
    def _top_of_what_is_told(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise contradiction("top_logprobs", "is only for requests with logprobs: true")
        return self

    @model_validator(mode="after")
    def _choice_has_tools(self) -> ChatRequest:
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise contradiction("tool_choice", "asks for a tool, and tools has none")
        return self


def _kind_of_prompt(prompt: Any) -> str:
    if not isinstance(prompt, list):
        return "one-text"
    first = prompt[0] if prompt else ""
    return {int: "token-ids", list: "id-lists"}.get(type(first), "texts")


Prompt = Annotated[
    Annotated[str, Tag("one-text")]
    | Annotated[list[TokenId], Tag("token-ids")]
    | Annotated[list[str], Field(min_length=1), Tag("texts")]
    | Annotated[list[Annotated[list[TokenId], Field(min_length=1)]], Tag("id-lists")],
    Discriminator(_kind_of_prompt),
]


class CompletionRequest(Generation):
    prompt: Prompt
    echo: bool | None = None
    suffix: str | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def num_logprobs(self) -> int | None:
        return self.logprobs
