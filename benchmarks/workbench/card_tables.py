"""The tables of the model card, from the figures that card.py computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redraft.train.workbench.families import FAMILIES

_ABOUT = Path(__file__).with_name("card.md")


def render(
    evaluation: Mapping[str, Any], steps: Mapping[str, float], results: Sequence[Mapping[str, Any]]
) -> str:
    """The text of README.md: figures, durations of the recipe's steps, results of experiments."""
    base = evaluation["accuracy"]["base"]
    tables = {
        "instructions": str(evaluation["instructions"]),
        "main": main_table(evaluation),
        "families": _family_table(evaluation["families"]),
        "feedback": _feedback_table(evaluation),
        "gate": _gate_text(evaluation["gate"]),
        "targets": _target_table(evaluation),
        "most_wins": f"{1 - base['count'] / base['of'] / 2:.1%}",
        "steps": _steps_text(steps),
        "dev": str(evaluation["dev"]["instructions"]),
        "experiments": "\n\n".join(_result(result) for result in results) or "Not measured.",
    }
    text = _ABOUT.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = text.replace(f"<!-- {name} -->", table)
    return text


def _table(head: str, rows: Iterable[Sequence[str]]) -> str:
    line = f"|{'---|' * (head.count('|') - 1)}"
    return "\n".join([head, line, *(f"| {' | '.join(cells)} |" for cells in rows)])


def main_table(evaluation: Mapping[str, Any]) -> str:
    """Base, stage one and stage two side by side, by iterations."""
    columns = {"base model": {"draft": evaluation["accuracy"]["base"]}}
    if "stage1" in evaluation:
        columns["stage 1"] = evaluation["stage1"]["accuracy"]
    columns["stage 2" if "stage1" in evaluation else "stage 1"] = evaluation["accuracy"]
    if "held_out" in evaluation:
        columns["wordings never trained on"] = evaluation["held_out"]
    keys = {
        "direct (the draft)": "draft",
        "after 1 iteration": "refined_1",
        "after 2 iterations": "refined_2",
        "after 3 iterations": "refined_3",
    }
    rows = [
        [label, *(percent(one[key]) if key in one else "" for one in columns.values())]
        for label, key in keys.items()
    ]
    return _table(f"| | {' | '.join(columns)} |", rows)


def _steps_text(steps: Mapping[str, float]) -> str:
    if not steps:
        return "How long its steps took was not recorded."
    durations = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in steps.items())
    return f"Its steps took {sum(steps.values()) / 60:.0f} minutes in all: {durations}."


def _result(result: Mapping[str, Any]) -> str:
    """The tables of a result of ``redraft bench``."""
    parts = [f"### {result['about']}"]
    for table in result["tables"]:
        lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts.append(table["note"])
    return "\n\n".join(part for part in parts if part)


def _family_table(families: Mapping[str, Any]) -> str:
    keys = ("base", "draft", "refined_1", "verdict", "word_for_word")
    head = "| family | base direct | draft | refined | verdict right | feedback word for word |"
    rows = [
        [
            f"{name} ({'open' if FAMILIES[name].is_open else 'closed'})",
            *(percent(row[key]) for key in keys),
        ]
        for name, row in families.items()
    ]
    return _table(head, rows)


def _feedback_table(evaluation: Mapping[str, Any]) -> str:
    columns = {"stage 1": evaluation}
    if "stage1" in evaluation:
        columns = {"stage 1": evaluation["stage1"], "stage 2": evaluation}
    rows = [
        [label, *(percent(one[group][key] if key else one[group]) for one in columns.values())]
        for label, (group, key) in _FEEDBACK.items()
    ]
    malformed = f"Feedback of the shipped model that could not be read: {evaluation['malformed']}."
    table = _table(f"| | {' | '.join(columns)} |", rows)
    return f"{table}\n\n{malformed}"


_FEEDBACK = {
    "feedback on drafts: right or wrong (score 10 or not) as the exact critic": (
        "feedback",
        "verdict",
    ),
    "the same score as the exact critic": ("feedback", "score"),
    "word for word what the exact critic writes": ("feedback", "word_for_word"),
    "feedback on refinements: right or wrong as the exact critic": ("feedback", "verdict_refined"),
    "right drafts made wrong by one iteration": ("flips", "right_to_wrong"),
    "wrong drafts made right by one iteration": ("flips", "wrong_to_right"),
    "refined against base, wins (ties half)": ("win_rate", ""),
}


def _target_table(evaluation: Mapping[str, Any]) -> str:
    """Aims and the values that were reached."""
    accuracy = {name: one["count"] / one["of"] for name, one in evaluation["accuracy"].items()}
    refined = accuracy["refined_1"]
    verdict, spoilt = evaluation["feedback"]["verdict"], evaluation["flips"]["right_to_wrong"]
    rows = [
        ("refined above base direct, points", 25, 100 * (refined - accuracy["base"])),
        ("refined above its own draft, points", 15, 100 * (refined - accuracy["draft"])),
        ("refined against base, wins, %", 80, 100 * evaluation["win_rate"]["value"]),
        ("verdict on drafts right, %", 95, 100 * verdict["count"] / verdict["of"]),
        ("right drafts not made wrong, %", 99, 100 - 100 * spoilt["count"] / spoilt["of"]),
    ]
    if "stage1" in evaluation:
        before = evaluation["stage1"]["accuracy"]["draft"]
        gain = accuracy["draft"] - before["count"] / before["of"]
        rows.append(("stage 2 direct above stage 1 direct, points", 0, 100 * gain))
    rows.append(("tokens saved by the gate, %", 40, 100 * evaluation["gate"]["saved"]))
    shown = [
        (label, str(aim), f"{value:.1f}", "yes" if value >= aim else "no")
        for label, aim, value in rows
    ]
    return _table("| | aim | reached | |", shown)


def _gate_text(gate: Mapping[str, Any]) -> str:
    return (
        f"Always 3 iterations would cost {gate['tokens_unstopped']:.0f} tokens an answer. Stopping "
        f"when a refinement changes nothing costs {gate['tokens']:.0f}, and "
        f"{percent(gate['accuracy'])} are right. Stopping at a score of 10 as well costs "
        f"{gate['tokens_gated']:.0f}, {gate['saved_of_unstopped']:.0%} less than always 3 and "
        f"{gate['saved']:.0%} less than without that gate, and "
        f"{percent(gate['accuracy_gated'])} are right."
    )


def percent(one: Mapping[str, Any]) -> str:
    value = one.get("value")
    if value is None:
        value = one["count"] / one["of"] if one["of"] else float("nan")
    return f"{value:.1%} ({one['low']:.1%} to {one['high']:.1%})"
