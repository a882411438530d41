"""Verifies guesses, in the worker: vLLM's rejection sampler, with what it lacks.

A request with a seed gets the tokens that it gets without guesses. vLLM draws anew to accept or to
replace a guess; here each token is drawn as the ordinary sampler draws it, from the request's own
generator, and a guess is right when it is that token. That is as often as vLLM accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import torch
from vllm.platforms import current_platform
from vllm.v1.sample import rejection_sampler

_vllms_own = rejection_sampler.rejection_sample


@dataclass
class _Seeded:
    """A request with a seed and guesses, in one step."""

    row: int  # in the batch
    places: range  # of its guesses among all guesses
    generator: torch.Generator
    before: list[torch.Generator] = field(default_factory=list)  # as it is before each guess


class Verifier:
    """vLLM's rejection sampler; a step without guesses uses the ordinary sampler, which is
    faster."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self._seeded: list[_Seeded] = []  # of this step
        self._blank: torch.Tensor | None = None
        rejection_sampler.rejection_sample = self._verified
        if current_platform.is_cpu():
            rejection_sampler.expand_batch_to_tokens = expand_batch_to_tokens

    def __call__(self, metadata: Any, draft_probs: Any, logits: Any, sampling: Any) -> Any:
        if metadata.max_spec_len == 0:
            # Each token is the one after all guesses: vLLM then finds the rows of those whose
            # thoughts have a budget.
            return self._sampler.sampler(
                logits=logits, sampling_metadata=sampling, predict_bonus_token=True
            )
        counts = metadata.num_draft_tokens
        ends = list(accumulate(counts))
        self._seeded = [
            _Seeded(row, range(ends[row] - counts[row], ends[row]), generator)
            for row, generator in sampling.generators.items()
            if counts[row]
        ]
        for seeded in self._seeded:
            if self._blank is None:
                self._blank = self._narrowest(logits, seeded.generator)
            # vLLM begins with the token after all guesses.
            for _ in seeded.places:
                seeded.before.append(seeded.generator.clone_state())
                self._draw(self._blank, [seeded.generator])
        return self._sampler(metadata, draft_probs, logits, sampling)

    def _verified(
        self,
        draft_token_ids: torch.Tensor,
        num_draft_tokens: list[int],
        max_spec_len: int,
        cu_num_draft_tokens: torch.Tensor,
        draft_probs: torch.Tensor | None,
        target_logits: torch.Tensor,
        bonus_token_ids: torch.Tensor,
        sampling: Any,
        **others: Any,
    ) -> torch.Tensor:
        """In place of vLLM's function: the tokens of each request, where its guesses end or fail.
        What vLLM finds for requests with a seed is replaced."""
        verified: torch.Tensor = _vllms_own(
            draft_token_ids,
            num_draft_tokens,
            max_spec_len,
            cu_num_draft_tokens,
            draft_probs,
            target_logits,
            bonus_token_ids,
            replace(sampling, generators={}) if self._seeded else sampling,
            **others,
        )
        for seeded in self._seeded:
            places = list(seeded.places)
            drawn = self._draw(target_logits[places], seeded.before)
            tokens = torch.cat([drawn.to(verified.dtype), bonus_token_ids[seeded.row].to(verified)])
            wrong = (drawn != draft_token_ids[places]).nonzero()
            if len(wrong):
                last = int(wrong[0])
                tokens[last + 1 :] = rejection_sampler.PLACEHOLDER_TOKEN_ID
                seeded.generator.set_state(seeded.before[last].get_state())
            verified[seeded.row, : len(tokens)] = tokens
        return verified

    def _draw(self, logits: torch.Tensor, generators: list[torch.Generator]) -> torch.Tensor:
        """A token for each row of logits, which are cut to top_k and top_p already."""
        of_row = dict(enumerate(generators))
        drawn: torch.Tensor = self._sampler.sampler.topk_topp_sampler(logits, of_row, None, None)[0]
        return drawn

    def _narrowest(self, logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A row of logits whose only use is that to draw from it takes from a generator what a
        token takes: one number wide, where that does not depend on the number of words."""
        rows = [logits.new_zeros((1, wide), dtype=torch.float32) for wide in (1, logits.shape[1])]
        drawn = [generator.clone_state() for _ in rows]
        for row, each in zip(rows, drawn, strict=True):
            self._draw(row, [each])
        narrow, wide = (each.get_state() for each in drawn)
        return rows[0] if torch.equal(narrow, wide) else rows[1]


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
