"""Sampling, as the parameters vLLM takes, and how it says that a completion ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from redraft.server.engine.base import (
    Constraint,
    EngineRefused,
    EngineUnavailable,
    FinishReason,
    Sampling,
)
from redraft.server.engine.chat_body import constraint_fields
from redraft.server.engine.vllm_engine.errors import NOTHING_FOLLOWS

SEEDS = 2**63


def sampling_params(sampling: Sampling, defaults: Mapping[str, Any], room: int) -> SamplingParams:
    """``defaults`` come from the model's generation_config.json; ``room`` is the number of tokens
    left in its window."""
    if sampling.seed is not None and not -SEEDS <= sampling.seed < SEEDS:
        raise EngineRefused(f"seed is {sampling.seed}; it goes from {-SEEDS} to {SEEDS - 1}")
    numbers = {**defaults, **sampling.numbers()}  # vLLM gives them the same names
    numbers["max_tokens"] = min(numbers.get("max_tokens", room), room)
    return SamplingParams(
        **numbers,
        ignore_eos=sampling.ignore_eos,
        logit_bias=dict(sampling.logit_bias) or None,
        stop=list(sampling.stop) or None,
        stop_token_ids=list(sampling.stop_token_ids) or None,
        structured_outputs=_structured(sampling.constraint),
        # TokenText makes the text, paired with its tokens; vLLM only looks for stop strings.
        detokenize=bool(sampling.stop) or sampling.logprobs is not None,
        logprobs=sampling.logprobs,
        output_kind=RequestOutputKind.DELTA,
    )


def _structured(constraint: Constraint | None) -> StructuredOutputsParams | None:
    if constraint is None:
        return None
    fields = constraint_fields(constraint, vllm=True)
    return StructuredOutputsParams(**fields["structured_outputs"])


def finish_reason(reason: str, params: SamplingParams) -> FinishReason:
    if reason == "stop":
        return "stop"
    if reason in ("length", "repetition"):
        return "length"
    if reason == "error" and params.structured_outputs is not None:
        raise EngineRefused(NOTHING_FOLLOWS)
    raise EngineUnavailable(f"the engine gave up this completion ({reason})")
