"""GSM8K, BBH and TyDiQA as prompts with their right answers, read from local files.

The settings are the paper's (section 4.2): GSM8K with 8 worked examples, BBH with 3, TyDiQA with
1 and the passage that holds the answer. How to add a set: a function here that yields documents,
a scorer in scorers.py, a row in SETS, a case in tests/benchmarks/test_tasks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    expected = ("question", "answer")
    examples = [*_rows(folder / "gsm8k" / "train.jsonl", expected)][:GSM8K_EXAMPLES]
    if len(examples) < GSM8K_EXAMPLES:
        raise jsonl.FileError(
            f"{folder / 'gsm8k' / 'train.jsonl'} has {len(examples)} solutions, expected at least "
            f"the {GSM8K_EXAMPLES} that every prompt shows"
        )
    shown = "".join(
        f"Question: {row['question']}\nAnswer: {_worked(row['answer'])}\n\n" for row in examples
    )
    for row in _rows(folder / "gsm8k" / "test.jsonl", expected):
        prompt = f"{shown}Question: {row['question']}\nAnswer:"
        yield Document("gsm8k", prompt, (row["answer"],))


def bbh(folder: Path) -> Iterator[Document]:
    for path in sorted((folder / "bbh" / "tasks").glob("*.json")):
        examples = jsonl.read_text(folder / "bbh" / "cot-prompts" / f"{path.stem}.txt")
        # The file opens with a notice that must not be shown to a model.
        shown = examples.partition("\n-----\n")[2].strip()
        for asked, target in _examples(path):
            prompt = f"{shown}\n\nQ: {asked}\nA: Let's think step by step."
            yield Document(path.stem, prompt, (target,))


def _examples(path: Path) -> Iterator[tuple[str, str]]:
    """The questions of a BBH task with their answers."""
    task = jsonl.read_document(path)
    examples = task.get("examples") if isinstance(task, dict) else None
    if not isinstance(examples, list):
        raise jsonl.FileError(f'{path} needs an object with a list of "examples"')
    for number, row in enumerate(examples, 1):
        texts = row if isinstance(row, dict) else {}
        asked, target = texts.get("input"), texts.get("target")
        if not isinstance(asked, str) or not isinstance(target, str):
            raise jsonl.FileError(f"{path}, example {number} needs input and target, both texts")
        yield asked, target


def tydiqa(folder: Path) -> Iterator[Document]:
    """The example is the first training question of the language. Without a training file it is
    the first question of the set, which is then left out."""
    for path in sorted((folder / "tydiqa_goldp" / "dev").glob("*.jsonl")):
        rows = list(_passages(path))
        train = folder / "tydiqa_goldp" / "train_first300" / path.name
        examples = list(_passages(train)) if train.is_file() else rows
        if not examples:
            raise jsonl.FileError(f"{path} holds no questions")
        example = examples.pop(0)
        shown = f"{_reading(example)} {example['answers']['text'][0]}\n\n"
        for row in rows:
            yield Document(path.stem, shown + _reading(row), tuple(row["answers"]["text"]))


def _passages(path: Path) -> Iterator[jsonl.Row]:
    for line in jsonl.lines(path):
        row = line.row()
        try:
            answers = row["answers"]["text"]
        except (KeyError, TypeError) as error:
            raise line.error("context, question and answers with their text") from error
        texts = [row.get("context"), row.get("question"), *(answers or [None])]
        if not all(isinstance(text, str) for text in texts):
            raise line.error("context, question and answers as texts")
        yield row


def _rows(path: Path, texts: Sequence[str]) -> Iterator[jsonl.Row]:
    """The rows of a file, one at least; ``texts`` names what each must have."""
    lines = list(jsonl.lines(path))
    if not lines:
        raise jsonl.FileError(f"{path} holds no questions")
    for line in lines:
        row = line.row()
        if not all(isinstance(row.get(name), str) for name in texts):
            raise line.error(f"{' and '.join(texts)}, texts")
        yield row


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
