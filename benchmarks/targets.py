"""Every performance target beside what is measured here, met or missed.

    redraft bench targets --out runs/targets              # all of it: about 90 minutes
    redraft bench targets --out runs/targets --steps large report

Makes models whose phases are equally long, of 5 and of 114 million parameters, and measures them:
the small one in every setting; both, where the targets are, against one uninterrupted generation,
phase by phase and in one breath, and against the peers, one of which merges several drafts; the
large one also with refinements that repeat most of their drafts and are guessed from them; then
the guessing and the server alone, and memory for ten minutes. Each step is a measurement of its own
with its result, samples and plots in a folder of its own; a step whose result is there is not run
again. The machine should do nothing else: two processor cores are enough. The exit code says only
whether everything was measured; a target that is missed is a figure like any other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks import latency, overhead, phased_model, soak, speculation
from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.latency import LatencyOptions
from redraft.benchmarks.load.systems import SystemName
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.output.target_table import TARGETS, measured
from redraft.benchmarks.overhead import OverheadOptions
from redraft.benchmarks.phased_model import PhasedShape
from redraft.benchmarks.soak import SoakOptions
from redraft.benchmarks.speculation import SpeculationOptions
from redraft.benchmarks.stats.intervals import MEDIANS
from redraft.server.options import ConfigError, option

Changes = dict[str, Any]  # options of a measurement, other than its defaults
LARGE = {"hidden": 768, "layers": 12, "heads": 12}
MODELS: dict[str, Changes] = {
    "small": {"hidden": 256, "layers": 4, "heads": 4},
    "large": LARGE,
    "kept": {**LARGE, "kept": 0.8},
}
FLOOR: tuple[SystemName, ...] = ("redraft", "floor")
PEERS: tuple[SystemName, ...] = ("redraft", "client-loop", "client-chat")
REFINED_ONCE: Changes = {"prompt_tokens": (400,), "iterations": (1,)}


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    steps: tuple[str, ...] = option("only these, report among them; none: all", ())
    out: Path = option("folder for the results", Path("runs/targets"))


@dataclass(frozen=True, slots=True)
class TargetStep:
    """One measurement. ``options`` takes the folder of all steps and that of this one."""

    folder: str
    result: str  # the name of its file
    measure: Callable[[Any], int]
    options: Callable[[Path, Path], Any]


def steps() -> dict[str, TargetStep]:
    matrix: Changes = {"systems": FLOOR, "requests": 3, "repeats": 2}
    linear: Changes = {"systems": ("redraft",), "prompt_tokens": (400,), "iterations": (0, 1, 3)}
    linear |= {"concurrency": (1,), "requests": 2, "repeats": 30}
    # A difference of a few percent shows in many short turns, not in few long ones.
    floor: Changes = {**REFINED_ONCE, "systems": FLOOR, "concurrency": (1, 32)}
    small: Changes = {**REFINED_ONCE, "systems": (*PEERS, "optillm"), "requests": 4, "repeats": 6}
    fusion: Changes = {**REFINED_ONCE, "systems": ("candidates", "fusion"), "requests": 2}
    # 32 at once need 700 MiB in 16 bits.
    of_large: Changes = {**REFINED_ONCE, "requests": 1, "kv_cache_mib": 2048}
    floors: dict[str, Changes] = {
        "small": {**floor, "requests": 2, "repeats": 20},
        "large": {**floor, **of_large, "repeats": 8},
    }
    breath = {"serve_options": "--one-breath"}
    large = {**of_large, "concurrency": (32,), "repeats": 6}
    kept = {"systems": ("redraft", "client-chat"), "serve_options": "--speculate draft"}
    return {
        "matrix": _latency("matrix", "small", matrix),
        "linear": _latency("linear", "small", linear),
        **{f"floor-{size}": _latency(f"floor-{size}", size, of) for size, of in floors.items()},
        **{
            f"breath-{size}": _latency(f"breath-{size}", size, {**of, **breath})
            for size, of in floors.items()
        },
        "small": _latency("small", "small", small),
        "fusion": _latency("fusion", "small", {**fusion, "concurrency": (1, 32), "repeats": 6}),
        "large": _latency("large", "large", {**large, "systems": PEERS}),
        "kept": _latency("kept", "kept", {**large, **kept}),
        "open": TargetStep("latency-open", "latency", latency.run, _open_loop),
        "speculation": TargetStep(
            "speculation",
            "speculation",
            speculation.run,
            lambda _, folder: SpeculationOptions(repeats=5, out=folder),
        ),
        "overhead": TargetStep(
            "overhead", "overhead", overhead.run, lambda _, folder: OverheadOptions(out=folder)
        ),
        "soak": TargetStep(
            "soak",
            "soak",
            soak.run,
            lambda out, folder: SoakOptions(model=_model(out, "small"), out=folder),
        ),
    }


def main(arguments: Sequence[str]) -> int:
    options = read(TargetOptions, "targets", arguments, __doc__)
    known = [*steps(), "report"]
    if unknown := set(options.steps) - set(known):
        raise ConfigError(f"no step {min(unknown)!r}; steps: {', '.join(known)}")
    chosen = options.steps or known
    failed = []
    for name, step in steps().items():
        folder = options.out / step.folder
        if name not in chosen:
            continue
        if (folder / f"{step.result}.json").is_file():
            print(f"{name}: is there", file=sys.stderr)
            continue
        print(f"{name}: into {folder}", file=sys.stderr)
        # A soak whose memory grows ends with 1, too: that is a result, and in the table.
        if _run(name, step, options.out, folder) and name != "soak":
            failed.append(name)
    missing = _report(options.out, failed) if "report" in chosen else []
    return 1 if failed or missing else 0


def _run(name: str, step: TargetStep, out: Path, folder: Path) -> int:
    """The exit code of a step; a failure does not end the others."""
    try:
        return step.measure(step.options(out, folder))
    except MeasurementFailed as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def _latency(name: str, model: str, changes: Mapping[str, Any]) -> TargetStep:
    def options(out: Path, folder: Path) -> LatencyOptions:
        return LatencyOptions(model=_model(out, model), out=folder, **changes)

    return TargetStep(f"latency-{name}", "latency", latency.run, options)


def _model(out: Path, name: str) -> Path:
    """The directory of a model, which is built if it is missing."""
    directory = out / "models" / name
    if not (directory / "redraft.json").is_file():  # written last
        phased_model.build(directory, PhasedShape(**MODELS[name]))
    return directory


def _open_loop(out: Path, folder: Path) -> LatencyOptions:
    """Rates of a half and four fifths of the throughput at a concurrency of 32."""
    path = out / "latency-small" / "latency.json"
    cell = json.loads(path.read_text(encoding="utf-8"))["figures"]["400 tokens, 1 iterations, x32"]
    rate = cell["systems"]["redraft"]["answers_per_s"]["estimate"]
    return LatencyOptions(
        **REFINED_ONCE,
        model=_model(out, "small"),
        systems=("redraft", "client-chat"),
        concurrency=(),
        rates=tuple(round(share * rate, 1) for share in (0.5, 0.8)),
        repeats=2,
        out=folder,
    )


def _report(out: Path, failed: Sequence[str]) -> list[str]:
    """Publish the table; returns the targets that were not measured."""
    values = [(target, measured(target, out)) for target in TARGETS]
    rows: list[tuple[Cell, ...]] = []
    for target, value in values:
        verdict = "not measured"
        if value.n:
            verdict = "met" if target.met(value.estimate) else "missed"
            verdict += "" if target.sure(value) else ", by the median alone"
        shown = value.shown(2) if value.n else "-"
        rows.append((target.what, target.at, target.wanted, shown, verdict))
    columns = ("figure", "at", "target", "measured", "")
    note = f"400-token prompts, 1 iteration; over repeats. {MEDIANS}"
    table = Table("Performance targets", columns, tuple(rows), note)
    figures = {
        f"{target.what}; {target.at}": {
            "target": target.wanted,
            "measured": value if value.n else None,
            "met": target.met(value.estimate) if value.n else None,
        }
        for target, value in values
    }
    config = {"out": str(out)}
    about = "The performance targets, and what was measured on one machine."
    failures = dict.fromkeys(failed, 1)
    publish(Result("targets", about, config, figures, failures, (table,)), out)
    return [target.what for target, value in values if not value.n]
