"""Usage: what the phases of a loop cost, and what they could have cost at most."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from redraft.server.refine.trace import Limit


@with_config(ConfigDict(extra="forbid"))
class PhaseUsage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    calls: int
    seconds: float
    thought_tokens: NotRequired[int]  # the part of completion_tokens that are thoughts


class UsageBound(TypedDict):
    bound: NotRequired[
        Annotated[int, Field(description="most completion tokens, known before the draft")]
    ]
    bound_by: NotRequired[
        Annotated[Limit, Field(description="the limit that made the bound lower, if one did")]
    ]


@with_config(ConfigDict(extra="forbid"))
class LoopUsage(UsageBound):
    """Of each kind of phase that happened."""

    draft: NotRequired[PhaseUsage]
    feedback: NotRequired[PhaseUsage]
    refinement: NotRequired[PhaseUsage]
