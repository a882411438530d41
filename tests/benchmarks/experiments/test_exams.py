"""Prompts with constraints as what arms are asked, on a model whose every answer is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from redraft.benchmarks.experiments.exams import ConstraintsExam
from redraft.benchmarks.grading.constrained import read_prompts
from redraft.benchmarks.load import servers
from redraft.benchmarks.load.usage import Running
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import FORMAT, feedback
from tests.support.serving import answering

FEEDBACK, REFINEMENT = (f"<|{m.ids[0]}|>" for m in (FORMAT.feedback, FORMAT.refinement))


class Trained:
    """Its drafts shout; what it refines is quiet."""

    def __init__(self) -> None:
        self.drafted: list[str] = []
        self.draft = "LOUD"

    def reply(self, prompt: str, sampling: Sampling) -> str:
        if prompt.endswith(FEEDBACK):
            return feedback(2)
        if REFINEMENT in prompt:
            return "quiet at last" if "LOUD" in prompt else "what was that?"
        self.drafted.append(prompt)
        return self.draft


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    model = Trained()

    @contextmanager
    def redraft(folder: Path, settings: None, logs: Path) -> Iterator[Running]:
        engine = ScriptedEngine(reply=model.reply)
        with answering(engine, Service(srt_model(engine))) as server:
            yield Running(server.v1)

    monkeypatch.setattr(servers, "redraft", redraft)
    return model


@pytest.fixture
def exam(tmp_path: Path) -> ConstraintsExam:
    path = tmp_path / "prompts.jsonl"
    lowercase = '"meta": {"checks": [{"kind": "lowercase"}]}'
    path.write_text(f'{{"prompt": "Rain", {lowercase}}}\n{{"prompt": "Snow", {lowercase}}}\n')
    return ConstraintsExam(read_prompts(path), max_tokens=40)


def course(exam: ConstraintsExam, answers: Path) -> Sequence[object]:
    return [row["right"] for row in exam.judge(answers)]


def test_every_response_is_judged_by_the_constraints(
    exam: ConstraintsExam, trained: Trained, tmp_path: Path
) -> None:
    exam.ask(tmp_path, 1, tmp_path / "answers.jsonl")
    assert course(exam, tmp_path / "answers.jsonl") == [[False, True], [False, True]]
    assert len(trained.drafted) == 2


def test_drafts_that_are_there_are_not_written_again(
    exam: ConstraintsExam, trained: Trained, tmp_path: Path
) -> None:
    exam.ask(tmp_path, 0, tmp_path / "drafts.jsonl")
    assert course(exam, tmp_path / "drafts.jsonl") == [[False], [False]]
    exam.ask(tmp_path, 1, tmp_path / "answers.jsonl", tmp_path / "drafts.jsonl")
    assert len(trained.drafted) == 2
    assert course(exam, tmp_path / "answers.jsonl") == [[False, True], [False, True]]
    (row, _) = exam.judge(tmp_path / "answers.jsonl")
    assert row["stop_reason"] == "max_iterations" and row["verdict"] is True


def test_an_empty_draft_is_written_again(
    exam: ConstraintsExam, trained: Trained, tmp_path: Path
) -> None:
    trained.draft = ""
    exam.ask(tmp_path, 0, tmp_path / "drafts.jsonl")
    exam.ask(tmp_path, 1, tmp_path / "answers.jsonl", tmp_path / "drafts.jsonl")
    assert len(trained.drafted) == 4
