"""Speculative decoding of refinements from their drafts: the code that vLLM's worker calls.

After every step vLLM asks ``DraftProposer`` for the next tokens of each text, and the model
verifies them in the next step: the output is what the model writes without speculation. Guesses
are made for refinements only.

vLLM gives a custom proposer the tokens of a batch without their request ids; ``begin`` gives it
the model runner, which has them, and works around defects of vLLM's speculation.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.platforms import current_platform
from vllm.v1.sample import rejection_sampler

from redraft.server.engine.vllm_engine.aligned_draft import AlignedDraft, Fences


class DraftProposer:
    """Named in vLLM's speculative configuration; guesses nothing until ``begin``."""

    def __init__(self, vllm_config: Any) -> None:
        self._most = int(vllm_config.speculative_config.num_speculative_tokens)
        self._window = int(vllm_config.model_config.max_model_len)
        self._runner: Any = None
        self._fences: Fences | None = None
        self._drafts: dict[str, AlignedDraft | None] = {}  # by request; None: no refinement

    def load_model(self, model: Any) -> None:
        """Called by vLLM; a proposer without a model loads none."""

    def begin(self, runner: Any, fences: Fences) -> None:
        self._runner, self._fences = runner, fences
        # Near the end of the window vLLM would replace the guesses of all requests by zeros, on a
        # CUDA stream, as for a draft model; ``propose`` keeps to the window itself.
        runner.effective_drafter_max_model_len = self._window + self._most
        runner.rejection_sampler = Verifier(runner.rejection_sampler)
        if current_platform.is_cpu():
            rejection_sampler.expand_batch_to_tokens = expand_batch_to_tokens

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """A guess for each row of the batch, whose tokens end with those just sampled."""
        if self._runner is None:
            return [[] for _ in sampled_token_ids]
        batch = self._runner.input_batch
        requests = batch.req_ids
        guesses: list[list[int]] = []
        for row, (request, new) in enumerate(zip(requests, sampled_token_ids, strict=False)):
            if not new:  # its prompt is still being processed
                guesses.append([])
                continue
            length = int(num_tokens_no_spec[row])
            if request in self._drafts:
                if draft := self._drafts[request]:
                    draft.write(new)
            else:
                draft = self._aligned(
                    token_ids_cpu[row, :length], int(batch.num_prompt_tokens[row])
                )
                self._drafts[request] = draft
            room = min(self._most, self._window - length - 1)
            guesses.append(draft.guess(room) if draft and room > 0 else [])
        if len(self._drafts) > 2 * len(requests):
            self._drafts = {r: self._drafts[r] for r in requests if r in self._drafts}
        return guesses

    def _aligned(self, row: Any, num_prompt_tokens: int) -> AlignedDraft | None:
        """The draft in the prompt of a new request, aligned with what has been written already."""
        assert self._fences is not None
        ids = self._fences.draft_in(row[:num_prompt_tokens].tolist())
        if ids is None:
            return None
        draft = AlignedDraft(ids)
        draft.write(row[num_prompt_tokens:].tolist())
        return draft


class Verifier:
    """vLLM's rejection sampler; a step without guesses uses the ordinary sampler, which is
    faster."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler

    def __call__(self, metadata: Any, draft_probs: Any, logits: Any, sampling: Any) -> Any:
        if metadata.max_spec_len == 0:
            return self._sampler.sampler(logits=logits, sampling_metadata=sampling)
        return self._sampler(metadata, draft_probs, logits, sampling)


def expand_batch_to_tokens(
    x: torch.Tensor,
    cu_num_tokens: torch.Tensor,
    num_tokens: int,
    replace_from: int = 0,
    replace_to: int = 0,
) -> torch.Tensor:
    """Each request's value, repeated for each of its tokens. On a CPU vLLM's own function returns
    uninitialised memory for all but 64-bit integers, so for temperature, top_p and top_k."""
    x = torch.where(x == replace_from, torch.full_like(x, replace_to), x)
    counts = torch.diff(cu_num_tokens, prepend=cu_num_tokens.new_zeros(1))
    return torch.repeat_interleave(x, counts.long(), output_size=num_tokens)
