"""Warm-up: uses once what vLLM compiles or loads at its first use, before a request has to wait.

It runs in the background when the engine is ready, one completion of a few tokens after another,
behind every other call. (On a CPU nothing is compiled unless the operator wants it: see ``start``.)
"""

from __future__ import annotations

from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

LAST = 2**31 - 1  # the lowest priority


def first_uses(speculates: bool) -> tuple[SamplingParams, ...]:
    common: dict[str, Any] = {
        "max_tokens": 2,
        "detokenize": False,
        "output_kind": RequestOutputKind.FINAL_ONLY,
    }
    # An engine that speculates refuses these two.
    unverified: dict[str, Any] = {} if speculates else {"min_p": 0.1, "logit_bias": {0: -1.0}}
    return (
        SamplingParams(**common, temperature=0.0, logprobs=1),
        SamplingParams(
            **common,
            **unverified,
            temperature=1.0,
            seed=1,
            top_p=0.9,
            top_k=5,
            presence_penalty=0.1,
            frequency_penalty=0.1,
            repetition_penalty=1.1,
        ),
        SamplingParams(**common, structured_outputs=StructuredOutputsParams(regex="[a-z]+")),
    )


async def warm_up(llm: Any, *, speculates: bool, by_priority: bool) -> None:
    for number, params in enumerate(first_uses(speculates)):
        outputs = llm.generate(
            {"type": "token", "prompt_token_ids": [0]},
            params,
            f"warm-up-{number}",
            priority=LAST if by_priority else 0,
        )
        async for _ in outputs:
            pass
