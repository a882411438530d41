"""The files of AlpacaEval 2.0: instructions with reference answers, a system's answers, and
annotations (which of the two a judge preferred). Other instructions are read, too.

Annotations are read from the project's own annotations.json (also .gz), from a table with the
columns row, len_reference, len_model, preference, and from the journal ``winrate judge`` writes.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redraft.server import jsonl

# The parts of its instructions, as their field "dataset" names them.
DATASETS = frozenset({"helpful_base", "koala", "oasst", "selfinstruct", "vicuna"})


@dataclass(frozen=True, slots=True)
class SystemAnswer:
    """One instruction and what a system answered to it."""

    instruction: str
    output: str
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One verdict. Preference: 1 the reference won, 2 the system won, 1.5 a tie."""

    # Where the length-controlled rate looks its instruction's difficulty up. In the project's own
    # files this is the row, as its code has it, even where rows are missing.
    row: int
    reference_length: int  # characters
    length: int
    preference: float | None  # None: unjudged
    alpaca: bool = True  # the instruction is AlpacaEval's, so its difficulty is known

    @property
    def win(self) -> float | None:
        """From 0 (lost) to 1 (won). Old files write a tie as a preference of 0."""
        if self.preference is None:
            return None
        return 0.5 if self.preference == 0 else self.preference - 1


def read_answers(path: Path) -> list[SystemAnswer]:
    return [
        SystemAnswer(row["instruction"], row["output"], row.get("dataset", ""))
        for row in _json(path)
    ]


def read_instructions(path: Path) -> list[SystemAnswer]:
    """Instructions without answers: a file that ``read_answers`` reads, or lines of JSON that hold
    an instruction or a labelled prompt each."""
    if not path.name.endswith(".jsonl"):
        return [replace(answer, output="") for answer in read_answers(path)]
    instructions = []
    for line in jsonl.lines(path):
        row = line.row()
        instruction = row.get("instruction") or row.get("prompt")
        if not instruction:
            raise line.error('"instruction" or "prompt"')
        instructions.append(
            SystemAnswer(instruction, "", row.get("dataset") or row.get("group") or "")
        )
    return instructions


def write_answers(path: Path, records: Sequence[Mapping[str, Any]], generator: str) -> None:
    """Write answers in the format of AlpacaEval."""
    names = ("dataset", "instruction", "output")
    rows = [{name: row[name] for name in names} | {"generator": generator} for row in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_annotations(path: Path) -> list[Annotation]:
    if path.name.endswith(".csv"):
        return [
            Annotation(
                row,
                int(content["len_reference"]),
                int(content["len_model"]),
                _number(content["preference"]),
            )
            for row, content in enumerate(_table(path))
        ]
    if path.name.endswith(".jsonl"):
        return sorted(map(_from_journal, jsonl.read(path)), key=lambda a: a.row)
    return [
        Annotation(
            row, len(content["output_1"]), len(content["output_2"]), _number(content["preference"])
        )
        for row, content in enumerate(_json(path))
    ]


def name_of(path: Path) -> str:
    """The name of the system an annotation file is about, from the file, its name or its folder."""
    if path.name.endswith((".json", ".json.gz")) and (name := _json(path)[0].get("generator_2")):
        return str(name)
    return path.parent.name if path.stem == "verdicts" else path.stem


def read_published(path: Path) -> dict[str, dict[str, float | None]]:
    """Published figures by model: a leaderboard (.csv), or JSON of the same columns."""
    if path.suffix == ".json":
        return dict(json.loads(path.read_bytes()))
    return {
        row["model"]: {key: _number(value) for key, value in row.items() if key != "model"}
        for row in _table(path)
    }


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _from_journal(content: dict[str, Any]) -> Annotation:
    lengths = content["reference_length"], content["length"]
    return Annotation(content["row"], *lengths, content["preference"], content.get("alpaca", True))


def _json(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    rows: list[dict[str, Any]] = json.loads(
        gzip.decompress(content) if path.suffix == ".gz" else content
    )
    return rows


def _number(text: str | float | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None  # a word in a column of numbers
    return number if math.isfinite(number) else None
