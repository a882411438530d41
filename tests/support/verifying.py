"""A program: many guesses verified at once by vLLM's sampler, mended as for the server, and what
came out counted beside what should have.

    python -m tests.support.verifying

Rows of one batch take turns at being greedy, cold, hot, and hot with top_k or top_p; all guess the
same token from the same logits.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import torch
from vllm.platforms import current_platform

ROWS, GUESS = 20_000, 2
LOGITS = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, -1.0])
KINDS = ("greedy", "cold", "hot", "top_k", "top_p")
TEMPERATURES = torch.tensor([0.0, 0.5, 2.0, 2.0, 2.0])
TOP_K = torch.tensor([6, 6, 6, 3, 6], dtype=torch.int32)
TOP_P = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.6])


def main() -> None:
    current_platform.import_kernels()
    if current_platform.is_cpu():
        current_platform.register_triton_kernel_overrides()
    torch.manual_seed(1)
    sampled = verified()
    first, second = sampled[:, 0], sampled[:, 1]
    rows: dict[str, Any] = {
        "best": int(LOGITS.argmax()),
        "leftover": int(((second >= 0) != (first == GUESS)).sum()),
    }
    for place, kind in enumerate(KINDS):
        drawn = torch.bincount(first[place :: len(KINDS)].long(), minlength=len(LOGITS))
        rows[kind] = {"drawn": drawn.tolist(), "expected": expected(place)}
    print(json.dumps(rows))


def expected(place: int) -> list[float]:
    """What vLLM's sampler draws from without guesses."""
    chances = (LOGITS / TEMPERATURES[place].clamp(min=1e-3)).softmax(0)
    order = chances.argsort(descending=True)
    before = chances[order].cumsum(0) - chances[order]
    kept = order[(before < TOP_P[place]) & (torch.arange(len(order)) < TOP_K[place])]
    found = torch.zeros_like(chances)
    found[kept] = chances[kept] / chances[kept].sum()
    return [float(chance) for chance in found.double() / found.double().sum()]


def verified() -> torch.Tensor:
    from vllm.v1.sample.rejection_sampler import RejectionSampler
    from vllm.v1.sample.sampler import Sampler
    from vllm.v1.spec_decode.metadata import SpecDecodeMetadata

    from redraft.server.engine.vllm_engine.speculation import DraftProposer

    runner = SimpleNamespace(rejection_sampler=RejectionSampler(Sampler()))
    config = SimpleNamespace(
        speculative_config=SimpleNamespace(num_speculative_tokens=8),
        model_config=SimpleNamespace(max_model_len=100),
    )
    DraftProposer(config).begin(runner, "prediction", end=0)
    metadata = SpecDecodeMetadata.make_dummy([[GUESS]] * ROWS, torch.device("cpu"))
    metadata.target_logits_indices = torch.arange(0, 2 * ROWS, 2)
    metadata.bonus_logits_indices = torch.arange(1, 2 * ROWS, 2)
    logits = LOGITS.repeat(2 * ROWS, 1)
    sampled: torch.Tensor = runner.rejection_sampler(
        metadata, None, logits, sampling()
    ).sampled_token_ids
    return sampled


def sampling() -> Any:
    from vllm.v1.sample.logits_processor import LogitsProcessors
    from vllm.v1.sample.metadata import SamplingMetadata

    each, nothing = ROWS // len(KINDS), torch.zeros(ROWS)
    return SamplingMetadata(
        temperature=TEMPERATURES.repeat(each),
        all_greedy=False,
        all_random=False,
        top_p=TOP_P.repeat(each),
        top_k=TOP_K.repeat(each),
        generators={},
        max_num_logprobs=None,
        no_penalties=True,
        prompt_token_ids=None,
        frequency_penalties=nothing,
        presence_penalties=nothing,
        repetition_penalties=nothing,
        output_token_ids=[[] for _ in range(ROWS)],
        allowed_token_ids_mask=None,
        bad_words_token_ids={},
        logitsprocs=LogitsProcessors(),
        spec_token_ids=[[] for _ in range(ROWS)],
    )


if __name__ == "__main__":
    main()
