"""Every performance target beside what is measured here, met or missed.

    redraft bench targets --out runs/targets              # all of it: about 65 minutes
    redraft bench targets --out runs/targets --steps large report

Makes models whose phases are equally long, of 5 and of 114 million parameters, and measures them:
the small one in every setting; both, where the targets are, against one uninterrupted generation
and against the peers; the large one also with refinements that repeat most of their drafts and are
guessed from them; then the guessing and the server alone, and memory for ten minutes. Each step is
a measurement of its own with its result, samples and plots in a folder of its own; a step whose
result is there is not run again. The machine should do nothing else: two processor cores are
enough. The exit code says only whether everything was measured; a target that is missed is a figure
like any other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks import latency, overhead, phased_model, soak, speculation
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.output.target_table import TARGETS, measured

LARGE = ("--hidden", "768", "--layers", "12", "--heads", "12")
MODELS = {
    "small": ("--hidden", "256", "--layers", "4", "--heads", "4"),
    "large": LARGE,
    "kept": (*LARGE, "--kept", "0.8"),
}
FLOOR = ("--systems", "redraft", "floor")
PEERS = ("--systems", "redraft", "client-loop", "client-chat")
REFINED_ONCE = ("--prompt-tokens", "400", "--iterations", "1")


@dataclass(frozen=True, slots=True)
class Step:
    folder: str
    result: str  # the name of its file
    program: Callable[[Sequence[str]], int]
    arguments: Callable[[Path], list[str]]  # of the folder of all steps


def steps() -> dict[str, Step]:
    matrix = [*FLOOR, "--requests", "3", "--repeats", "2"]
    linear = ["--systems", "redraft", "--prompt-tokens", "400", "--iterations", "0", "1", "3"]
    linear += ["--concurrency", "1", "--requests", "2", "--repeats", "30"]
    # A difference of a few percent shows in many short turns, not in few long ones.
    ends = ["--concurrency", "1", "32"]
    floor_small = [*FLOOR, *REFINED_ONCE, *ends, "--requests", "2", "--repeats", "20"]
    small = [*PEERS, "optillm", *REFINED_ONCE, "--requests", "4", "--repeats", "6"]
    of_large = [*REFINED_ONCE, "--requests", "1", "--kv-cache-mib", "1024"]  # 32 need 700 MiB
    floor_large = [*FLOOR, *of_large, *ends, "--repeats", "8"]
    peers_of_large = [*of_large, "--concurrency", "32", "--repeats", "6"]
    large = [*PEERS, *peers_of_large]
    kept = ["--systems", "redraft", "client-chat", *peers_of_large]
    kept += ["--serve-options", "--speculate draft"]
    return {
        "matrix": _latency("matrix", "small", lambda _: matrix),
        "linear": _latency("linear", "small", lambda _: linear),
        "floor-small": _latency("floor-small", "small", lambda _: floor_small),
        "floor-large": _latency("floor-large", "large", lambda _: floor_large),
        "small": _latency("small", "small", lambda _: small),
        "large": _latency("large", "large", lambda _: large),
        "kept": _latency("kept", "kept", lambda _: kept),
        "open": _latency("open", "small", _open_loop),
        "speculation": Step(
            "speculation", "speculation", speculation.main, lambda _: ["--repeats", "5"]
        ),
        "overhead": Step("overhead", "overhead", overhead.main, lambda _: []),
        "soak": Step("soak", "soak", soak.main, lambda out: ["--model", _model(out, "small")]),
    }


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    chosen = {name: step for name, step in steps().items() if name in options.steps}
    failed = []
    for name, step in chosen.items():
        folder = options.out / step.folder
        if (folder / f"{step.result}.json").is_file():
            print(f"{name}: is there", file=sys.stderr)
            continue
        print(f"{name}: into {folder}", file=sys.stderr)
        # A soak whose memory grows ends with 1, too: that is a result, and in the table.
        if step.program([*step.arguments(options.out), "--out", str(folder)]) and name != "soak":
            failed.append(name)
    missing = _report(options.out, failed) if "report" in options.steps else []
    return 1 if failed or missing else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench targets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*steps(), "report"]
    top.add_argument("--steps", nargs="+", choices=names, default=names)
    top.add_argument("--out", type=Path, default=Path("runs/targets"))
    return top


def _latency(name: str, model: str, more: Callable[[Path], list[str]]) -> Step:
    return Step(
        f"latency-{name}",
        "latency",
        latency.main,
        lambda out: ["--model", _model(out, model), *more(out)],
    )


def _model(out: Path, name: str) -> str:
    """The directory of the model, made if it is not there."""
    directory = out / "models" / name
    if not (directory / "redraft.json").is_file():  # written last
        phased_model.main([str(directory), *MODELS[name]])
    return str(directory)


def _open_loop(out: Path) -> list[str]:
    """At half and at four fifths of the rate at which 32 at once were answered."""
    path = out / "latency-small" / "latency.json"
    cell = json.loads(path.read_text(encoding="utf-8"))["figures"]["400 tokens, 1 iterations, x32"]
    rate = cell["systems"]["redraft"]["answers_per_s"]["estimate"]
    rates = [f"{share * rate:.1f}" for share in (0.5, 0.8)]
    systems = ["--systems", "redraft", "client-chat"]
    return [*systems, *REFINED_ONCE, "--concurrency", "--rates", *rates, "--repeats", "2"]


def _report(out: Path, failed: Sequence[str]) -> list[str]:
    """The table; which targets were not measured."""
    found = [(target, measured(target, out)) for target in TARGETS]
    rows: list[tuple[Cell, ...]] = []
    for target, value in found:
        verdict = "not measured"
        if value.n:
            verdict = "met" if target.met(value) else "missed"
            verdict += "" if target.sure(value) else ", by the median alone"
        shown = value.shown(2) if value.n else "-"
        rows.append((target.what, target.at, target.wanted, shown, verdict))
    columns = ("figure", "at", "target", "measured", "")
    note = "400-token prompts, 1 iteration. Medians over repeats with 95% intervals or their range."
    table = Table("Performance targets", columns, tuple(rows), note)
    figures = {
        f"{target.what}; {target.at}": {
            "target": target.wanted,
            "measured": value if value.n else None,
            "met": target.met(value) if value.n else None,
        }
        for target, value in found
    }
    config = {"out": str(out)}
    about = "The performance targets, and what was measured on one machine."
    failures = dict.fromkeys(failed, 1)
    publish(Result("targets", about, config, figures, failures, (table,)), out)
    return [target.what for target, value in found if not value.n]
