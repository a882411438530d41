"""The files of AlpacaEval 2.0: instructions with reference answers, a system's answers, and
annotations (which of the two a judge preferred). Other instructions are read, too.

Annotations are read from the project's own annotations.json (also .gz), from a table with the
columns instruction_index, len_reference, len_model, preference, and from the journal ``winrate
judge`` writes. A row that cannot be one is refused with its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redraft.benchmarks.winrates.csv_rows import read_csv
from redraft.benchmarks.winrates.known_set import KnownInstruction, digest, digest_at, known_set
from redraft.server import jsonl

_CSV_COLUMNS = ("instruction_index", "len_reference", "len_model", "preference")


@dataclass(frozen=True, slots=True)
class SystemAnswer:
    """One instruction and what a system answered to it."""

    instruction: str
    output: str
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One verdict. Preference: 1 the reference won, 2 the system won, 1.5 a tie."""

    row: int  # its place in the file, where a published rate looks the difficulty up
    reference_length: int  # characters
    length: int
    preference: float | None  # None: unjudged
    instruction: str  # the digest of its text, by which systems are paired

    @property
    def win(self) -> float | None:
        """From 0 (lost) to 1 (won). Old files write a tie as a preference of 0."""
        if self.preference is None:
            return None
        return 0.5 if self.preference == 0 else self.preference - 1

    @property
    def known(self) -> KnownInstruction | None:
        """Its instruction, where it is one of AlpacaEval's."""
        return known_set().get(self.instruction)

    @property
    def moved(self) -> bool:
        """It is one of AlpacaEval's instructions and in another row than in its own files."""
        known = self.known
        return known is not None and known.position != self.row


def read_answers(path: Path) -> list[SystemAnswer]:
    return [
        SystemAnswer(row["instruction"], row["output"], str(row.get("dataset", "")))
        for _, row in _rows(path, ("instruction", "output"))
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
        if not instruction or not isinstance(instruction, str):
            raise line.error('"instruction" or "prompt", a text')
        instructions.append(
            SystemAnswer(instruction, "", str(row.get("dataset") or row.get("group") or ""))
        )
    if not instructions:
        raise jsonl.FileError(f"{path} holds no instructions")
    return instructions


def write_answers(path: Path, records: Sequence[Mapping[str, Any]], generator: str) -> None:
    """Write answers in the format of AlpacaEval."""
    names = ("dataset", "instruction", "output")
    rows = [{name: row[name] for name in names} | {"generator": generator} for row in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_annotations(path: Path) -> list[Annotation]:
    """Every row of the file, in its order; of a journal, in the order of the reference."""
    if path.name.endswith(".csv"):
        annotations = list(_from_csv(path))
    elif path.name.endswith(".jsonl"):
        annotations = sorted(map(_from_journal, jsonl.lines(path)), key=lambda a: a.row)
    else:
        annotations = list(_from_json(path))
    if not annotations:
        raise jsonl.FileError(f"{path} holds no annotations")
    return annotations


def name_of(path: Path) -> str:
    """The name of the system an annotation file is about, from the file, its name or its folder."""
    if path.name.endswith((".json", ".json.gz")):
        _, row = next(_rows(path, ()))
        if name := row.get("generator_2"):
            return str(name)
    return path.parent.name if path.stem == "verdicts" else path.stem


def read_published(path: Path) -> dict[str, dict[str, float | None]]:
    """Published figures by model: a leaderboard (.csv), or JSON of the same columns."""
    if path.suffix == ".json":
        models = jsonl.read_document(path)
        if not isinstance(models, dict) or not all(isinstance(m, dict) for m in models.values()):
            raise jsonl.FileError(f"{path} needs an object with the figures of each model")
        return {
            name: {key: _figure(value) for key, value in model.items()}
            for name, model in models.items()
        }
    return {
        row.cells["model"]: {key: _figure(value) for key, value in row.cells.items()}
        for row in read_csv(path, ("model",))
    }


def _from_csv(path: Path) -> Iterator[Annotation]:
    for place, row in enumerate(read_csv(path, _CSV_COLUMNS)):
        yield Annotation(
            place,
            row.whole("len_reference"),
            row.whole("len_model"),
            _preference(row.cells["preference"], f"{path}:{row.line}"),
            digest_at(row.whole("instruction_index")),
        )


def _from_json(path: Path) -> Iterator[Annotation]:
    rows = _rows(path, ("instruction", "output_1", "output_2"))
    for place, (where, row) in enumerate(rows):
        if "preference" not in row:
            raise jsonl.LineError(f"{where} needs a preference, got {', '.join(row)[:200]}")
        yield Annotation(
            place,
            len(row["output_1"]),
            len(row["output_2"]),
            _preference(row["preference"], where),
            digest(row["instruction"]),
        )


def _from_journal(line: jsonl.Line) -> Annotation:
    content = line.row()
    try:
        row, reference_length, length = (
            int(content[name]) for name in ("row", "reference_length", "length")
        )
        preference = _preference(content["preference"], line.where)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, jsonl.LineError):
            raise
        raise line.error("row, reference_length, length and preference") from error
    if "instruction" in content:
        return Annotation(row, reference_length, length, preference, str(content["instruction"]))
    # Written before verdicts named their instruction; all that is told is its row in the reference.
    known = digest_at(row) if content.get("alpaca", True) else f"#{row}"
    return Annotation(row, reference_length, length, preference, known)


def _rows(path: Path, texts: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and content of every row of a JSON list; ``texts`` names what each must have."""
    document = jsonl.read_document(path)
    if not isinstance(document, list) or not document:
        raise jsonl.FileError(f"{path} needs a list of rows, got {json.dumps(document)[:80]}")
    for number, row in enumerate(document, 1):
        where = f"{path}, row {number}"
        if not isinstance(row, dict):
            raise jsonl.LineError(f"{where} needs a JSON object, got {json.dumps(row)[:80]}")
        for name in texts:
            if not isinstance(row.get(name), str):
                found = json.dumps(row[name])[:80] if name in row else ", ".join(row)[:200]
                raise jsonl.LineError(f"{where} needs {name}, a text, got {found}")
        yield where, row


def _preference(value: Any, where: str) -> float | None:
    """None where the judge said nothing: an empty cell, null, NaN."""
    if value is None or value == "":
        return None
    try:
        number = math.inf if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isnan(number):
        return None
    if number != 0 and not 1 <= number <= 2:
        raise jsonl.LineError(
            f"{where} needs a preference from 1 (the reference won) to 2 (the system won), 0 for a "
            f"tie, or none for unjudged, got {value!r}"
        )
    return number


def _figure(value: Any) -> float | None:
    """A published figure; None for one that is missing and for a word."""
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
