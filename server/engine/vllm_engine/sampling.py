"""Sampling, as the parameters vLLM takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from redraft.server.engine.base import Constraint, EngineRefused, Sampling

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
    match constraint.kind:
        case "json_object":
            return StructuredOutputsParams(json_object=True)
        case "json_schema":
            return StructuredOutputsParams(json=constraint.value)
        case "regex":
            # xgrammar takes a line break in an expression only when it is escaped.
            return StructuredOutputsParams(regex=constraint.value.replace("\n", r"\n"))
        case "grammar":
            return StructuredOutputsParams(grammar=constraint.value)
        case "choice":
            return StructuredOutputsParams(choice=_choices(constraint.value))


def _choices(value: str) -> list[str]:
    try:
        choices = json.loads(value)
    except ValueError as error:
        raise EngineRefused(f"choice is not JSON: {error}") from error
    if not (isinstance(choices, list) and choices and all(isinstance(c, str) for c in choices)):
        raise EngineRefused("choice must be a JSON list of one or more strings")
    return choices
