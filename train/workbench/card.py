"""The model card of the workbench's model: every number in it comes from recorded answers.

    python -m train.workbench.card --model models/redraft-workbench --answers DIR

DIR holds what train/workbench/measure.py wrote. Writes README.md beside the weights, and policy,
calibration and figures into redraft.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from server.refine import manifest
from train.config import ConfigError, option, parse
from train.records import read_lines, write_json
from train.workbench import figures
from train.workbench.families import FAMILIES
from train.workbench.figures import Answer, Share

ITERATIONS = 3
_ABOUT = Path(__file__).with_name("card.md")


@dataclass(frozen=True, slots=True)
class CardOptions:
    """Model card and manifest from recorded answers."""

    model: str = option("folder of the model to describe")
    answers: str = option("folder with the recorded answers")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answers of one measurement, in the same order of instructions."""

    base: Sequence[Answer]
    tuned: Sequence[Answer]  # never stopped at a good score
    gated: Sequence[Answer]  # stopped at a perfect one
    stage1: Sequence[Answer]  # as tuned, of the model before stage two; may be empty
    held_out: Sequence[Answer]  # as tuned, in wordings that were never trained on

    @classmethod
    def read(cls, folder: Path) -> Recorded:
        return cls(**{name: _rows(folder / f"{name}.jsonl") for name in cls.__slots__})


def _rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_lines(path)] if path.is_file() else []


def computed(recorded: Recorded) -> dict[str, Any]:
    """Every figure, as redraft.json keeps it."""
    base, tuned = recorded.base, recorded.tuned
    found: dict[str, Any] = {
        "instructions": len(tuned),
        "accuracy": _plain(figures.quality(base, tuned, ITERATIONS)),
        "flips": _plain(figures.flips(tuned, 1)),
        "feedback": _plain(figures.feedback(tuned)),
        "win_rate": figures.win_rate(base, tuned, 1),
        "families": {name: _family(name, base, tuned) for name in FAMILIES},
        "malformed": sum(answer["malformed"] for answer in tuned),
    }
    if recorded.gated:
        found["gate"] = figures.gate(tuned, recorded.gated)
    if recorded.stage1:
        found["stage1"] = _plain(figures.quality(base, recorded.stage1, ITERATIONS))
    if recorded.held_out:
        found["held_out"] = _plain(figures.quality([], recorded.held_out, ITERATIONS))
    return found


def _family(name: str, base: Sequence[Answer], tuned: Sequence[Answer]) -> dict[str, Any]:
    ours = [answer for answer in tuned if answer["family"] == name]
    theirs = [answer for answer in base if answer["family"] == name]
    return _plain({**figures.quality(theirs, ours, 1), **figures.feedback(ours)})


def _plain(shares: Mapping[str, Share]) -> dict[str, Any]:
    return {name: asdict(found) for name, found in shares.items()}


def render(found: Mapping[str, Any]) -> str:
    """README.md."""
    tables = {
        "instructions": str(found["instructions"]),
        "main": _main_table(found),
        "families": _family_table(found["families"]),
        "feedback": _feedback_table(found),
        "gate": _gate_text(found.get("gate")),
        "targets": _target_table(found),
    }
    text = _ABOUT.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = text.replace(f"<!-- {name} -->", table)
    return text


def _main_table(found: Mapping[str, Any]) -> str:
    accuracy = found["accuracy"]
    rows = [("Base model, direct", accuracy["base"])]
    if "stage1" in found:
        rows += [(f"Stage 1, {label}", found["stage1"][key]) for label, key in _STAGES]
        rows += [(f"Stage 2, {label}", accuracy[key]) for label, key in _STAGES]
    else:
        rows += [(f"Stage 1, {label}", accuracy[key]) for label, key in _STAGES]
    if "held_out" in found:
        held_out = found["held_out"]
        rows += [(f"Wordings never trained on, {label}", held_out[k]) for label, k in _STAGES[:2]]
    lines = [f"| {label} | {_percent(one)} |" for label, one in rows]
    return "\n".join(["| | right, with 95% interval |", "|---|---|", *lines])


_STAGES = (
    ("draft", "draft"),
    ("after 1 iteration", "refined_1"),
    ("after 2 iterations", "refined_2"),
    ("after 3 iterations", "refined_3"),
)


def _family_table(families: Mapping[str, Any]) -> str:
    keys = ("base", "draft", "refined_1", "verdict", "word_for_word")
    head = "| family | base direct | draft | refined | verdict right | feedback word for word |"
    lines = []
    for name, row in families.items():
        kind = "open" if FAMILIES[name].is_open else "closed"
        cells = " | ".join(_percent(row[key]) for key in keys)
        lines.append(f"| {name} ({kind}) | {cells} |")
    return "\n".join([head, "|---|---|---|---|---|---|", *lines])


def _feedback_table(found: Mapping[str, Any]) -> str:
    flips, feedback = found["flips"], found["feedback"]
    shares = {
        "feedback on drafts: right or wrong (score 10 or not) as the exact critic": feedback[
            "verdict"
        ],
        "the same score as the exact critic": feedback["score"],
        "word for word what the exact critic writes": feedback["word_for_word"],
        "feedback on refinements: right or wrong as the exact critic": feedback["verdict_refined"],
        "right drafts made wrong by one iteration": flips["right_to_wrong"],
        "wrong drafts made right by one iteration": flips["wrong_to_right"],
        "refined against base, wins (ties half)": found["win_rate"],
    }
    lines = [f"| {label} | {_percent(one)} |" for label, one in shares.items()]
    lines.append(f"| feedback that could not be read | {found['malformed']} |")
    return "\n".join(["| | |", "|---|---|", *lines])


def _target_table(found: Mapping[str, Any]) -> str:
    """What was aimed at, and what was reached."""
    accuracy = {name: one["count"] / one["of"] for name, one in found["accuracy"].items()}
    refined = accuracy["refined_1"]
    verdict, spoilt = found["feedback"]["verdict"], found["flips"]["right_to_wrong"]
    rows = [
        ("refined above base direct, points", 25, 100 * (refined - accuracy["base"])),
        ("refined above its own draft, points", 15, 100 * (refined - accuracy["draft"])),
        ("refined against base, wins, %", 80, 100 * found["win_rate"]["value"]),
        ("verdict on drafts right, %", 95, 100 * verdict["count"] / verdict["of"]),
        ("right drafts not made wrong, %", 99, 100 - 100 * spoilt["count"] / spoilt["of"]),
    ]
    if "gate" in found:
        rows.append(("tokens saved by the gate, %", 40, 100 * found["gate"]["saved"]))
    lines = [
        f"| {label} | {aim} | {value:.1f} | {'yes' if value >= aim else 'no'} |"
        for label, aim, value in rows
    ]
    return "\n".join(["| | aim | reached | |", "|---|---|---|---|", *lines])


def _gate_text(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "Not measured."
    return (
        f"Up to {ITERATIONS} iterations cost {gate['tokens']:.0f} tokens an answer and "
        f"{_percent(gate['accuracy'])} are right. Stopping at a score of 10 costs "
        f"{gate['tokens_gated']:.0f} tokens, {gate['saved']:.0%} less, and "
        f"{_percent(gate['accuracy_gated'])} are right."
    )


def _percent(one: Mapping[str, Any]) -> str:
    value = one.get("value")
    if value is None:
        value = one["count"] / one["of"] if one["of"] else float("nan")
    return f"{value:.1%} ({one['low']:.1%} to {one['high']:.1%})"


ABOUT = (
    "A tiny model that knows ten kinds of small instructions about numbers, words and names, "
    "and nothing else. It is here to show what refining does."
)
EXAMPLES = (
    "What is the total of 25, 8, 34, 22?",
    "There are 58 books in a box. Then Kim wins 24, sells 28, buys 7. How many are left?",
    "Which two numbers in this list make 80: 72, 20, 39, 41?",
    "Which numbers in this list are odd: 8, 7, 72, 83, 14, 1?",
    "Start with 14 and find 5 even numbers that add up to 34.",
)


def best_policy(found: Mapping[str, Any]) -> manifest.DefaultPolicy:
    """One iteration, more where they measurably help; stop at a perfect score unless that costs
    accuracy."""
    accuracy = found["accuracy"]
    rates = [accuracy[f"refined_{k}"]["count"] for k in range(1, ITERATIONS + 1)]
    few = found["instructions"] / 100  # less than one percent more is not worth an iteration
    iterations = next(k for k, rate in enumerate(rates, 1) if rate >= max(rates) - few)
    gate = found.get("gate")
    keeps = gate is not None and (
        gate["accuracy_gated"]["count"] >= gate["accuracy"]["count"] - few
    )
    return manifest.DefaultPolicy(iterations, 10 if keeps else None, "last")


def write(options: CardOptions) -> Path:
    model, recorded = Path(options.model), Recorded.read(Path(options.answers))
    if not recorded.base or not recorded.tuned:
        raise ConfigError(f"{options.answers} has no base.jsonl and tuned.jsonl; measure first")
    known = manifest.read(model)
    if known is None:
        raise ConfigError(f"{model} has no {manifest.NAME}; run 'redraft train merge' first")
    found = computed(recorded)
    rows = tuple(manifest.Calibration(**row) for row in figures.calibration(recorded.tuned))
    told = {**found, "about": ABOUT, "examples": EXAMPLES}  # for the server's page
    manifest.write(model, known.srt_format, best_policy(found), rows, told)
    write_json(Path(options.answers) / "figures.json", found)
    path = model / "README.md"
    path.write_text(render(found), encoding="utf-8")
    return path


def main(argv: Sequence[str]) -> int:
    options = parse(CardOptions, "card", argv)
    path = write(options)
    figures_of = json.loads((Path(options.answers) / "figures.json").read_text(encoding="utf-8"))
    print(_main_table(figures_of))
    print(f"card: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
