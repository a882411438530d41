"""Scores apart from feedback: drafts and refinements in fresh calls, and how critics agree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.server.refine.srt_format import HIGHEST_SCORE, LOWEST_SCORE
from redraft.train.critics import Critic
from redraft.train.data.records import Example


@dataclass(frozen=True, slots=True)
class Scores:
    draft: int | None
    refinement: int | None


async def independent(critic: Critic, example: Example, draft: str, refinement: str) -> Scores:
    """The critic's scores of both, each given without sight of the other or of any feedback.
    The same text gets the same score, without a second call."""
    if draft.strip() == refinement.strip():
        score = await critic.score(example, draft)
        return Scores(score, score)
    given = await asyncio.gather(critic.score(example, draft), critic.score(example, refinement))
    return Scores(*given)


def weighted_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Agreement of two critics beyond chance, quadratic weights: 1 is perfect, 0 is chance.

    None when chance alone explains everything: a critic that gives one score to all."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores against {len(second)}")
    scale = range(LOWEST_SCORE, HIGHEST_SCORE + 1)
    count = len(first)
    share_first = {s: first.count(s) / count for s in scale} if count else {}
    share_second = {s: second.count(s) / count for s in scale} if count else {}
    by_chance = sum(
        (a - b) ** 2 * share_first[a] * share_second[b] for a in share_first for b in share_second
    )
    if not by_chance:
        return None
    observed = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / count
    return 1 - observed / by_chance
