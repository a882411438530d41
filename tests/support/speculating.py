"""The same model with and without speculation, side by side:

with pair_of(directory) as pair:
    plain, speculating = pair.both([(prompt, sampling), ...])
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from statistics import NormalDist
from typing import Any

from prometheus_client import REGISTRY

from redraft.benchmarks import phased_model
from redraft.server.engine.base import Call, Completion, Prompt, Sampling, Tokens, complete
from redraft.server.refine import manifest
from redraft.server.refine.srt_format import SrtFormat
from tests.support.tiny_engine import Running, running_engine

NAME = "speculating"
GREEDY = Sampling(temperature=0.0)
PHASE_TOKENS = 60  # of a model that ``phased`` makes


def phased(directory: Path) -> Path:
    """A model whose refinements keep four fifths of their drafts."""
    size = phased_model.PhasedShape(
        hidden=128, layers=2, heads=2, phase_tokens=PHASE_TOKENS, kept=0.8
    )
    return phased_model.build(directory, size)


@dataclass(frozen=True)
class Pair:
    """The same model with and without speculation."""

    plain: Running
    speculating: Running

    def both(
        self,
        asked: Sequence[tuple[Prompt, Sampling]],
        predictions: Sequence[tuple[int, ...]] = (),
        adapters: Sequence[str | None] = (),
    ) -> tuple[list[Completion], ...]:
        plain = answers(self.plain, asked, adapters=adapters)
        return plain, answers(self.speculating, asked, predictions, adapters)


def answers(
    running: Running,
    asked: Sequence[tuple[Prompt, Sampling]],
    predictions: Sequence[tuple[int, ...]] = (),
    adapters: Sequence[str | None] = (),
) -> list[Completion]:
    """All at once, each with its prediction and by its adapter."""
    more = zip(chain(predictions, repeat(())), chain(adapters, repeat(None)), strict=False)

    async def all_of_them() -> list[Completion]:
        return await asyncio.gather(
            *(
                complete(
                    running.engine,
                    prompt,
                    sampling,
                    Call(f"{number}", prediction=tokens, adapter=adapter),
                )
                for number, ((prompt, sampling), (tokens, adapter)) in enumerate(
                    zip(asked, more, strict=False)
                )
            )
        )

    return running.run(all_of_them())


def format_of(model: Path) -> SrtFormat:
    known = manifest.read(model)
    assert known
    return known.srt_format


@contextmanager
def pair_of(model: Path, **changes: Any) -> Iterator[Pair]:
    shared = {"dtype": "float32", **changes}
    # The one that speculates starts last: vLLM drops the metrics of the engines before.
    with (
        running_engine(model, **shared) as plain,
        running_engine(model, served_name=NAME, speculates=True, **shared) as speculating,
    ):
        yield Pair(plain, speculating)


def counted(running: Running) -> tuple[float, float]:
    """Tokens guessed and accepted so far."""
    # What ran before is counted at the latest when the next completion is.
    answers(running, [(Tokens((3, 4)), replace(GREEDY, max_tokens=1))])
    found = [
        REGISTRY.get_sample_value(
            f"vllm:spec_decode_num_{what}_tokens_total", {"model_name": NAME, "engine": "0"}
        )
        for what in ("draft", "accepted")
    ]
    assert None not in found
    return found[0] or 0.0, found[1] or 0.0


def most_chi_square(degrees: int, chance: float = 1e-4) -> float:
    """What the statistic exceeds with this chance (Wilson and Hilferty's approximation)."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + NormalDist().inv_cdf(1 - chance) * part**0.5) ** 3)
