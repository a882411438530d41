"""Task sets through lm-evaluation-harness, against any OpenAI-compatible server.

The harness gets its tasks as files it reads without a network: documents, and a YAML that names
them. Its model is ours, for two things its own client lacks: answers are kept in a journal, so a
stopped run goes on, and a question whose call fails is unscored, where the harness would end. The
same files serve the harness alone:

    lm_eval run --model local-chat-completions --include_path OUT/tasks --tasks redraft_gsm8k \\
        --model_args base_url=URL/chat/completions,model=M,tokenizer_backend=None \\
        --apply_chat_template
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Nothing is fetched: every file is local. Read when the libraries are imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from redraft.benchmarks.grading.task_sets import SETS, Document
from redraft.benchmarks.load.endpoint import Endpoint
from redraft.benchmarks.winrates.alpaca import SystemAnswer
from redraft.benchmarks.winrates.answering import Asking, answer_all
from redraft.server import jsonl

UNANSWERED = "\0unanswered"  # in place of an answer; no model writes it
PREFIX = "redraft_"


def score_document(document: Mapping[str, Any], answers: Sequence[str]) -> dict[str, float]:
    """Called by the harness for each answer."""
    if answers[0] == UNANSWERED:
        return {"score": math.nan}
    score = SETS[document["set"]].score
    return {"score": float(score(answers[0], tuple(document["targets"])))}


def mean_of_scored(scores: Sequence[float]) -> float:
    scored = [score for score in scores if not math.isnan(score)]
    return math.fsum(scored) / len(scored) if scored else math.nan


def write_tasks(folder: Path, sets: Mapping[str, Sequence[Document]]) -> None:
    """Write the documents of each set and the task file that reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, documents in sets.items():
        path = (folder / f"{name}.jsonl").resolve()
        jsonl.write(path, ({"set": name} | document.json() for document in documents))
        task = TASK.format(
            name=PREFIX + name,
            documents=json.dumps(str(path)),
            until=json.dumps(list(SETS[name].until)),
            max_tokens=SETS[name].max_tokens,
            module=__name__,
        )
        (folder / f"{name}.yaml").write_text(task, encoding="utf-8")


def evaluate(
    folder: Path, names: Sequence[str], endpoint: Endpoint, journal: Path, concurrency: int
) -> tuple[dict[str, list[dict[str, Any]]], Counter[str]]:
    """Documents of each set with their answers and scores, and the failures by reason."""
    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    datasets.disable_progress_bars()
    model = HarnessModel(endpoint, journal, concurrency)
    evaluation = simple_evaluate(
        model=model,
        tasks=[PREFIX + name for name in names],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
        log_samples=True,
    )
    assert evaluation, "the harness returns nothing only on workers of a distributed run"
    rows = {}
    for name in names:
        samples = sorted(evaluation["samples"][PREFIX + name], key=lambda each: each["doc_id"])
        rows[name] = [
            {"group": each["doc"]["group"], "answer": each["resps"][0][0], "score": each["score"]}
            for each in samples
        ]
    return rows, model.failures


class HarnessModel(LM):  # type: ignore[misc]
    """The harness's interface to a served model, for generation only."""

    def __init__(self, endpoint: Endpoint, journal: Path, concurrency: int) -> None:
        super().__init__()
        self.failures: Counter[str] = Counter()
        self._endpoint = endpoint
        self._journal = journal
        self._concurrency = concurrency

    @property
    def tokenizer_name(self) -> str:
        return self._endpoint.model

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The server applies the template; each prompt is one message."""
        return "\n\n".join(message["content"] for message in chat_history)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        answers: dict[tuple[str, int], str] = {}
        by_length: dict[int, list[Instance]] = {}
        for request in requests:
            by_length.setdefault(request.args[1]["max_gen_toks"], []).append(request)
        for max_tokens, of_length in by_length.items():
            instructions = [SystemAnswer(request.args[0], "") for request in of_length]
            asking = Asking(max_tokens=max_tokens)
            records, failures = asyncio.run(
                answer_all(instructions, self._endpoint, asking, self._journal, self._concurrency)
            )
            self.failures += failures
            answers |= {(record["instruction"], max_tokens): record["output"] for record in records}
        return [
            _until(answers.get((prompt, settings["max_gen_toks"]), UNANSWERED), settings["until"])
            for prompt, settings in (request.args for request in requests)
        ]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        raise NotImplementedError("these tasks generate")

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise NotImplementedError("these tasks generate")


def _until(text: str, stops: Sequence[str]) -> str:
    """Cut at stop strings. Sent to the server, they would also end drafts and feedback."""
    text = text.strip()
    for stop in stops:
        text = text.partition(stop)[0]
    return text


TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {documents}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{targets[0]}}}}"
process_results: !function {module}.score_document
generation_kwargs:
  until: {until}
  max_gen_toks: {max_tokens}
  temperature: 0.0
  do_sample: false
metric_list:
  - metric: score
    aggregation: !function {module}.mean_of_scored
    higher_is_better: true
metadata:
  version: 1
"""
