"""Random numbers of a row depend on its seed and step alone, and are spread evenly."""

from __future__ import annotations

import torch

from redraft.server.engine.base import Sampling
from redraft.train.batched_generation import GenerationRow, Sampler, uniform


def sampler(*how: Sampling) -> Sampler:
    return Sampler.of([GenerationRow((1,), each, frozenset(), 4) for each in how], "cpu")


def test_uniform_numbers_are_uniform_and_differ_by_step() -> None:
    seeds = torch.arange(20_000)
    first, second = uniform(seeds, 0), uniform(seeds, 1)
    for numbers in (first, second):
        assert numbers.min() >= 0 and numbers.max() < 1
        counts = torch.histc(numbers, 20, 0, 1)
        assert (counts - 1000).abs().max() < 150
    assert (first == second).sum() < 5
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.03


def test_tokens_are_sampled_as_often_as_they_are_likely() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).repeat(20_000, 1)
    how = [Sampling(temperature=1.0, seed=seed) for seed in range(20_000)]
    shares = torch.bincount(sampler(*how).next(logits, 3), minlength=4) / 20_000
    assert (shares - torch.tensor([0.5, 0.3, 0.15, 0.05])).abs().max() < 0.015


def test_each_row_is_cut_by_its_own_top_k_and_top_p() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).repeat(3000, 1)
    for limits, allowed in (
        ({"top_k": 2}, {0, 1}),
        ({"top_p": 0.7}, {0, 1}),
        ({"top_k": 3, "top_p": 0.99}, {0, 1, 2}),
        ({}, {0, 1, 2, 3}),
    ):
        how = [Sampling(temperature=1.0, seed=seed, **limits) for seed in range(2999)]
        mixed = sampler(*how, Sampling(temperature=1.0, seed=1, top_k=1))
        assert set(mixed.next(logits, 0)[:-1].tolist()) == allowed


def test_greedy_rows_stand_beside_sampled_ones() -> None:
    logits = torch.log(torch.tensor([0.2, 0.5, 0.3])).repeat(500, 1)
    how = [Sampling(temperature=0.0 if n % 2 else 1.0, seed=n) for n in range(500)]
    found = sampler(*how).next(logits, 0)
    assert set(found[1::2].tolist()) == {1}
    assert set(found[::2].tolist()) == {0, 1, 2}
