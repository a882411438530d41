"""What the doctor finds in the adapters of a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from redraft.server.build.adapters import Lineup
from redraft.server.build.fetching import size
from redraft.server.cli.diagnosis import Diagnosis
from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import adapters
from redraft.server.refine.adapters import PhaseAdapters


def adapter_findings(
    lineup: Lineup, base: Path, to_come: Mapping[Path, int]
) -> Iterator[Diagnosis]:
    """One for each adapter, and one for each name with adapters in its phases. ``to_come``: the
    bytes of weights that a directory still lacks."""
    for adapter in lineup.adapters:
        if num_bytes := to_come.get(adapter.path):  # until then it cannot be told what they fit
            when = f"{size(num_bytes)} are fetched when it is first served"
            yield Diagnosis("adapter", f"{adapter.name}; {when}")
            continue
        try:
            adapters.check([adapter], base)
            yield Diagnosis("adapter", f"{adapter.name}, {adapter.path}")
        except EngineError as error:
            yield Diagnosis.of_error("adapter", error)
    for variant in (lineup.main, *lineup.others):
        if variant.adapters.names:
            yield Diagnosis(
                "phases", f"of {variant.name or 'the model'}: {_writers(variant.adapters)}"
            )


def _writers(phases: PhaseAdapters) -> str:
    writers = {phase: getattr(phases, phase) or "the base" for phase in PhaseAdapters.__slots__}
    return ", ".join(f"{phase} by {writer}" for phase, writer in writers.items())
