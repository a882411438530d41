"""Answers: every JSON object this server sends, each declared once.

Routes build these dicts and mypy checks them; /docs shows the same declarations. Only the chunks
of a streamed chat are written as text (``chat_stream``); tests check them against these types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from redraft.server.api.schema.usage import LoopUsage, PhaseUsage, UsageBound
from redraft.server.engine import base
from redraft.server.refine.feedback_form import FormOrigin
from redraft.server.refine.trace import Phase, StopReason

# In direct mode the engine's own layer may end for reasons the loop does not have.
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@with_config(ConfigDict(extra="allow"))
class Extensible(TypedDict):
    """In direct mode the engine's own layer may add fields of its own."""


@with_config(ConfigDict(extra="forbid"))
class Exact(TypedDict):
    """Has the declared fields and no others."""


class ErrorDetail(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """What every error looks like."""

    error: ErrorDetail


class Model(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    max_model_len: int
    max_iterations: int
    feedback_form: Annotated[
        FormOrigin,
        Field(description="why feedback can be read: training, or what the engine is held to"),
    ]
    parent: NotRequired[str]  # of an adapter: its base


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class PromptTokensDetails(Extensible):
    cached_tokens: int


class PredictedTokens(Extensible):
    """Only where a prediction was made use of."""

    accepted_prediction_tokens: NotRequired[
        Annotated[int, Field(description="of the prediction, those that the answer has")]
    ]
    rejected_prediction_tokens: NotRequired[
        Annotated[int, Field(description="the others; completion_tokens has none of them")]
    ]


class CompletionTokensDetails(PredictedTokens):
    reasoning_tokens: int


class UsageAnswer(Extensible):
    """Of all phases together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: NotRequired[PromptTokensDetails | None]
    completion_tokens_details: NotRequired[CompletionTokensDetails | None]


@with_config(ConfigDict(extra="forbid"))
class RefineUsage(UsageAnswer, UsageBound):
    phases: dict[Phase, PhaseUsage]


class VoteJson(Exact):
    text: str
    weaknesses: str
    suggestions: str
    score: int | None
    thought: NotRequired[str]


class FeedbackJson(VoteJson):
    """Of several votes: the text of the one in the middle, and their mean score, rounded."""

    votes: NotRequired[list[VoteJson]]


class FindingJson(Exact):
    """What one check found in one response."""

    check: dict[str, Any]
    passed: bool
    why: str


class ResponseJson(Exact):
    text: str
    finish_reason: base.FinishReason
    tokens: int
    thought: NotRequired[str]
    tool_calls: NotRequired[list[dict[str, Any]]]
    checks: NotRequired[list[FindingJson]]


class DraftJson(ResponseJson):
    feedback: NotRequired[FeedbackJson | None]


class IterationJson(Exact):
    feedback: FeedbackJson
    refinement: ResponseJson | None
    candidates: NotRequired[
        Annotated[list[DraftJson], Field(description="where several were written side by side")]
    ]
    left_out: NotRequired[list[int]]


class TraceJson(Exact):
    """Everything the loop wrote, and why it ended."""

    drafts: list[DraftJson]
    picked: int
    iterations: list[IterationJson]
    kept: int
    kept_candidate: NotRequired[int]
    scores: list[int | None]
    stop_reason: StopReason
    malformed: int
    failure: str | None


class LoopSummary(Exact):
    stop_reason: StopReason
    iterations: int
    kept: Annotated[int, Field(description="0: the draft, k: the refinement of iteration k")]
    kept_candidate: NotRequired[
        Annotated[int, Field(description="the answer's place among the drafts or candidates")]
    ]
    left_out: NotRequired[
        Annotated[list[int], Field(description="candidates that the window had no room for")]
    ]
    scores: list[int | None]
    checks: NotRequired[
        Annotated[list[list[FindingJson]], Field(description="of each response, as scores")]
    ]
    trace: NotRequired[TraceJson | None]


class RefineOutcome(LoopSummary):
    """How the answer came about."""

    prompt_tokens: int | None
    usage: LoopUsage
    malformed: NotRequired[
        Annotated[int, Field(description="feedback texts that could not be read, retries included")]
    ]
    repeated: NotRequired[
        Annotated[int, Field(description="texts that ended because they repeated themselves")]
    ]
    failure: NotRequired[str | None]


class Head(Extensible):
    """How every answer begins."""

    id: str
    created: int
    model: str


class ChatAnswerMessage(Extensible):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning: NotRequired[str | None]
    reasoning_content: NotRequired[str | None]
    tool_calls: NotRequired[list[dict[str, Any]]]


class ChatChoice(Extensible):
    index: int
    message: ChatAnswerMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason
    refine: NotRequired[RefineOutcome]  # where there are several choices


class ChatCompletion(Head):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    usage: UsageAnswer
    refine: NotRequired[RefineOutcome | None]


class ChatDelta(Extensible):
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str | None]
    refusal: NotRequired[str | None]
    reasoning: NotRequired[str]
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[dict[str, Any]]]


class ChunkChoice(Extensible):
    index: int
    delta: ChatDelta
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason | None


class PhaseMark(Exact):
    """Which phase the text of a chunk belongs to; iteration 0 is the draft."""

    phase: Phase
    iteration: int


class ChatCompletionChunk(Head):
    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    usage: NotRequired[UsageAnswer | None]
    refine: NotRequired[PhaseMark | RefineOutcome]


class CompletionChoice(Extensible):
    index: int
    text: str
    logprobs: NotRequired[dict[str, Any] | None]
    finish_reason: FinishReason | None
    refine: NotRequired[RefineOutcome]  # where there are several choices


class TextCompletion(Head):
    """The whole answer, or one chunk of a streamed one."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]
    usage: NotRequired[UsageAnswer | None]
    refine: NotRequired[RefineOutcome | None]


@with_config(ConfigDict(extra="forbid"))
class RefineObject(Head, LoopSummary):
    """What ``/v1/refine`` answers."""

    object: Literal["refine"]
    answer: str
    finish_reason: base.FinishReason
    usage: RefineUsage


@with_config(ConfigDict(extra="forbid"))
class FeedbackObject(Head):
    """What ``/v1/feedback`` answers. Without a score when the model wrote something that cannot
    be read; ``feedback`` then is what it wrote."""

    object: Literal["feedback"]
    feedback: str
    weaknesses: str
    suggestions: str
    score: int | None
    checks: NotRequired[list[FindingJson]]
    votes: NotRequired[list[VoteJson]]
    usage: RefineUsage
