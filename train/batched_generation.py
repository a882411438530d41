"""Generates many completions at once on the device: each row with its own sampling, seed and end.

A row's random numbers depend on its seed and its step alone, so that a completion is the same
whatever batch it is generated in. Nothing leaves the device between two looks at what has ended.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from redraft.server.engine.base import FinishReason, Sampling

_LOOK_EVERY = 16  # steps between two looks at which rows have ended
_COMPACT_BELOW = 0.75  # drop finished rows from the batch once this share of it is still running

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """One completion to generate."""

    prompt: tuple[int, ...]
    sampling: Sampling
    ends: frozenset[int]  # tokens
    limit: int  # most tokens

    @property
    def most_tokens(self) -> int:
        return len(self.prompt) + self.limit


@dataclass(frozen=True, slots=True)
class Generated:
    ids: tuple[int, ...]  # without the stop token or stop string
    num_tokens: int  # with it
    finish_reason: FinishReason


@torch.inference_mode()
def generate(model: Any, rows: Sequence[GenerationRow], decode: Decode) -> list[Generated]:
    """The completion of every row, in their order."""
    device = model.device
    written: list[list[int]] = [[] for _ in rows]
    finished: dict[int, Generated] = {}
    running = list(range(len(rows)))
    sampler = Sampler.of(rows, device)
    longest = max(len(row.prompt) for row in rows)
    padded = [[0] * (longest - len(r.prompt)) + list(r.prompt) for r in rows]
    attended = [[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in rows]
    ids, mask = torch.tensor(padded, device=device), torch.tensor(attended, device=device)
    position, cache, step = (mask.cumsum(1) - 1).clamp(min=0), None, 0
    unseen: list[torch.Tensor] = []
    while running:
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        next_ids = sampler.next(out.logits[:, -1], step)
        unseen.append(next_ids)
        step += 1
        if step % _LOOK_EVERY == 0 or step in sampler.limits:
            for index, seen in zip(running, torch.stack(unseen, 1).tolist(), strict=True):
                if index not in finished:
                    written[index] += seen
                    if (done := _ended(rows[index], written[index], len(seen), decode)) is not None:
                        finished[index] = done
            unseen = []
            keep = [place for place, index in enumerate(running) if index not in finished]
            if len(keep) <= len(running) * _COMPACT_BELOW:
                running = [running[place] for place in keep]
                if not running:
                    break
                at = torch.tensor(keep, device=device, dtype=torch.long)
                mask, position, next_ids = mask[at], position[at], next_ids[at]
                sampler = sampler.select(at)
                cache.batch_select_indices(at)
        ids = next_ids.unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones(len(running), 1)], dim=1)
        position = position[:, -1:] + 1
    return [finished[index] for index in range(len(rows))]


def _ended(
    row: GenerationRow, ids: Sequence[int], num_new: int, decode: Decode
) -> Generated | None:
    """The completion, when one of the new tokens ended it."""
    old = len(ids) - num_new
    upto = min(len(ids), row.limit)
    end = next((place for place in range(old, upto) if ids[place] in row.ends), None)
    shown = ids[: upto if end is None else end]
    if row.sampling.stop and (stopped := _stopped(shown, old, row.sampling.stop, decode)):
        return stopped
    if end is not None:
        return Generated(tuple(shown), end + 1, "stop")
    if len(ids) >= row.limit:
        return Generated(tuple(shown), row.limit, "length")
    return None


def _stopped(
    ids: Sequence[int], old: int, stops: Sequence[str], decode: Decode
) -> Generated | None:
    """The completion before the first stop string, if there is one."""
    text = decode(ids)
    if not any(stop in text for stop in stops):
        return None
    num_tokens = old + 1
    while not any(stop in (text := decode(ids[:num_tokens])) for stop in stops):
        num_tokens += 1
    start = min(at for stop in stops if (at := text.find(stop)) >= 0)
    kept = num_tokens
    while kept and len(decode(ids[:kept])) > start:
        kept -= 1
    return Generated(tuple(ids[:kept]), num_tokens, "stop")


@dataclass(frozen=True, slots=True)
class Sampler:
    """How each row of a batch is sampled, as tensors."""

    seeds: torch.Tensor
    temperature: torch.Tensor  # 0: the likeliest token
    top_k: torch.Tensor  # 0: no limit
    top_p: torch.Tensor  # 1: no limit
    limits: frozenset[int]
    is_greedy: bool
    is_cut: bool  # a row has top_k or top_p

    @classmethod
    def of(cls, rows: Sequence[GenerationRow], device: Any) -> Sampler:
        how = [row.sampling for row in rows]
        warm = [1.0 if s.temperature is None else s.temperature for s in how]
        top_k = [max(0, s.top_k or 0) for s in how]
        top_p = [1.0 if s.top_p is None else s.top_p for s in how]
        seeds = [secrets.randbits(31) if s.seed is None else s.seed & 0x7FFFFFFF for s in how]
        return cls(
            torch.tensor(seeds, device=device, dtype=torch.long),
            torch.tensor(warm, device=device).unsqueeze(1),
            torch.tensor(top_k, device=device).unsqueeze(1),
            torch.tensor(top_p, device=device).unsqueeze(1),
            frozenset(row.limit for row in rows),
            not any(warm),
            any(top_k) or min(top_p) < 1,
        )

    def select(self, at: torch.Tensor) -> Sampler:
        return Sampler(
            self.seeds[at],
            self.temperature[at],
            self.top_k[at],
            self.top_p[at],
            self.limits,
            self.is_greedy,
            self.is_cut,
        )

    def next(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """The next token of every row."""
        likeliest = logits.argmax(-1)
        if self.is_greedy:
            return likeliest
        probabilities = (logits.float() / self.temperature.clamp(min=1e-4)).softmax(-1)
        if self.is_cut:
            probabilities = self._cut(probabilities)
        total = probabilities.cumsum(-1)
        point = uniform(self.seeds, step).unsqueeze(1) * total[:, -1:]
        sampled = torch.searchsorted(total, point, right=True).squeeze(1)
        sampled = sampled.clamp(max=logits.shape[-1] - 1)
        return torch.where(self.temperature.squeeze(1) == 0, likeliest, sampled)

    def _cut(self, probabilities: torch.Tensor) -> torch.Tensor:
        ordered, index = probabilities.sort(descending=True)
        rank = torch.arange(ordered.shape[1], device=ordered.device)
        k = torch.where(self.top_k > 0, self.top_k, ordered.shape[1])
        within_k = ordered * (rank < k)
        share = within_k / within_k.sum(-1, keepdim=True)
        kept = within_k * (share.cumsum(-1) - share < self.top_p)
        return torch.zeros_like(probabilities).scatter(1, index, kept)


def uniform(seeds: torch.Tensor, step: int) -> torch.Tensor:
    """A number in [0, 1) for each seed: a hash of seed and step (the mixer of MurmurHash3)."""
    mixed = seeds * 0x9E3779B1 + (step + 1) * 0x85EBCA77
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        mixed = mixed & 0xFFFFFFFF
        mixed = (mixed ^ (mixed >> 16)) * factor
    mixed = mixed & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) >> 8).float() / (1 << 24)
