"""GSM8K, BBH and TyDiQA as prompts with their right answers, read from local files.

The settings are the paper's (section 4.2): GSM8K with 8 worked examples, BBH with 3, TyDiQA with
1 and the passage that holds the answer. How to add a set: a function here that yields documents,
a scorer in scorers.py, a row in SETS, a case in tests/benchmarks/test_tasks.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.grading.scorers import bbh_right, gsm8k_right, squad_f1
from redraft.server import jsonl

GSM8K_EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class Document:
    """One question. ``group``: the score of a set is the mean over its groups."""

    group: str
    prompt: str
    targets: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        return {"group": self.group, "prompt": self.prompt, "targets": list(self.targets)}


@dataclass(frozen=True, slots=True)
class TaskSet:
    documents: Callable[[Path], Iterator[Document]]  # from the folder of the data
    score: Callable[[str, tuple[str, ...]], float]
    max_tokens: int
    until: tuple[str, ...]  # what a base model goes on with after its answer
    measure: str


def gsm8k(folder: Path) -> Iterator[Document]:
    examples = list(jsonl.read(folder / "gsm8k" / "train.jsonl"))[:GSM8K_EXAMPLES]
    shown = "".join(
        f"Question: {row['question']}\nAnswer: {_worked(row['answer'])}\n\n" for row in examples
    )
    for row in jsonl.read(folder / "gsm8k" / "test.jsonl"):
        prompt = f"{shown}Question: {row['question']}\nAnswer:"
        yield Document("gsm8k", prompt, (row["answer"],))


def bbh(folder: Path) -> Iterator[Document]:
    for path in sorted((folder / "bbh" / "tasks").glob("*.json")):
        examples = (folder / "bbh" / "cot-prompts" / f"{path.stem}.txt").read_text("utf-8")
        # The file opens with a notice that must not be shown to a model.
        shown = examples.partition("\n-----\n")[2].strip()
        for row in json.loads(path.read_text("utf-8"))["examples"]:
            prompt = f"{shown}\n\nQ: {row['input']}\nA: Let's think step by step."
            yield Document(path.stem, prompt, (row["target"],))


def tydiqa(folder: Path) -> Iterator[Document]:
    """The example is the first training question of the language. Without a training file it is
    the first question of the set, which is then left out."""
    for path in sorted((folder / "tydiqa_goldp" / "dev").glob("*.jsonl")):
        rows = list(jsonl.read(path))
        train = folder / "tydiqa_goldp" / "train_first300" / path.name
        example = next(jsonl.read(train)) if train.is_file() else rows.pop(0)
        shown = f"{_reading(example)} {example['answers']['text'][0]}\n\n"
        for row in rows:
            yield Document(path.stem, shown + _reading(row), tuple(row["answers"]["text"]))


def _reading(row: Mapping[str, Any]) -> str:
    return f"Passage: {row['context']}\nQuestion: {row['question']}\nShort answer:"


def _worked(answer: str) -> str:
    """A training solution without the annotations of its sums (<<1+1=2>>)."""
    steps, _, number = answer.partition("####")
    plain = "".join(part.rpartition(">>")[2] for part in steps.split("<<"))
    return f"{plain.strip()} So the answer is {number.strip()}."


SETS = {
    "gsm8k": TaskSet(
        gsm8k, lambda text, truth: gsm8k_right(text, truth[0]), 512, ("\nQuestion:",), "exact match"
    ),
    "bbh": TaskSet(
        bbh, lambda text, truth: bbh_right(text, truth[0]), 512, ("\nQ:",), "exact match"
    ),
    "tydiqa": TaskSet(tydiqa, squad_f1, 64, ("\n",), "F1"),
}
