"""Labelled prompts are graded by comparing, or by a judge over HTTP: what the judge has not judged
is neither right nor wrong, and what it has is not asked again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from redraft.benchmarks.__main__ import main
from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.grading.grading import PromptOptions
from redraft.benchmarks.grading.labelled import Grader, Grades, LabelledPrompt, read_labelled
from redraft.benchmarks.load.endpoint import CallFailed
from redraft.train.exact.app import build_app
from redraft.train.exact.of_workbench import OfWorkbench
from redraft.train.stages import tasks
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import answer, task_for
from tests.support.serving import Served, serving

PROMPT = LabelledPrompt("Say good.")
MISBEHAVIOURS: dict[str, Any] = {
    "http_500": JSONResponse({"error": "down"}, 500),
    "http_400": JSONResponse({"error": "no such instruction"}, 400),
    "no_verdict": {"right": "perhaps"},
    "not_json": PlainTextResponse("it is right"),
}


@pytest.fixture
def judge() -> Iterator[tuple[Served, list[dict[str, Any]]]]:
    """Finds what says "good" right, and misbehaves where an answer names how."""
    app, asked = FastAPI(), []

    @app.post("/v1/judge", response_model=None)
    async def judged(request: Request) -> Any:
        body = await request.json()
        asked.append(body)
        return MISBEHAVIOURS.get(body["response"], {"right": "good" in body["response"]})

    with serving(app) as server:
        yield server, asked


def grader(tmp_path: Path, judge: str) -> Grader:
    return PromptOptions(judge=judge, retries=0, concurrency=2, out=tmp_path).grader()


def grade(grader: Grader, *texts: str) -> Grades:
    return asyncio.run(grader.grade((PROMPT, text) for text in texts))


def test_without_a_judge_answers_are_compared(tmp_path: Path) -> None:
    prompt = LabelledPrompt("Say good.", ("Good",))
    comparing = PromptOptions(match="words", out=tmp_path).grader()
    grades = asyncio.run(comparing.grade([(prompt, " good ")]))
    assert grades.of(prompt, " good ") is True
    assert list(tmp_path.iterdir()) == []


def test_with_checks_an_answer_is_right_when_every_constraint_of_its_prompt_holds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "constraints.jsonl"
    checks = [{"kind": "words", "exactly": 1}, {"kind": "uppercase"}]
    path.write_text(json.dumps({"prompt": "Say good.", "meta": {"checks": checks}}) + "\n")
    (prompt,) = read_labelled(path, "checks")
    grades = asyncio.run(Grader("checks").grade((prompt, text) for text in ("GOOD", "Good", "")))
    assert [grades.of(prompt, text) for text in ("GOOD", "Good", "")] == [True, False, False]


def test_the_prompts_of_ifeval_are_graded_by_its_own_checkers() -> None:
    pytest.importorskip("lm_eval", reason="the bench extra is not installed")
    prompts = read_labelled(IFEVAL, "checks")
    assert len(prompts) == 541
    (no_comma, *_) = (
        prompt
        for prompt in prompts
        if prompt.constrained and prompt.constrained.kinds == ("punctuation:no_comma",)
    )
    grades = asyncio.run(Grader("checks").grade([(no_comma, "A, b."), (no_comma, "A and b.")]))
    assert (grades.of(no_comma, "A, b."), grades.of(no_comma, "A and b.")) == (False, True)


def test_a_judge_says_what_is_right(judge: tuple[Served, list[Any]], tmp_path: Path) -> None:
    server, asked = judge
    grades = grade(grader(tmp_path, server.v1), "good", "bad", "good")
    assert (grades.of(PROMPT, "good"), grades.of(PROMPT, "bad")) == (True, False)
    assert len(asked) == 2  # the same text once


@pytest.mark.parametrize("reason", sorted(MISBEHAVIOURS))
def test_what_a_judge_does_not_judge_is_neither_right_nor_wrong(
    judge: tuple[Served, list[Any]], tmp_path: Path, reason: str
) -> None:
    server, _ = judge
    grades = grade(grader(tmp_path, server.v1), reason, "good")
    assert grades.of(PROMPT, "good")
    with pytest.raises(CallFailed) as failed:
        grades.of(PROMPT, reason)
    assert failed.value.reason == f"unjudged_{reason}"


def test_verdicts_are_kept_and_what_failed_is_asked_again(
    judge: tuple[Served, list[Any]], tmp_path: Path
) -> None:
    server, asked = judge
    for _ in range(2):
        grade(grader(tmp_path, server.v1), "good", "bad", "http_500")
    texts = [body["response"] for body in asked]
    assert sorted(texts) == ["bad", "good", "http_500", "http_500"]


def test_answers_may_be_missing_only_where_a_judge_decides(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text('{"prompt": "a", "group": "g"}\n')
    assert read_labelled(path, "judge") == [LabelledPrompt("a", (), "g")]
    with pytest.raises(ValueError, match=r'labelled.jsonl:1 needs "prompt" and "answers" \(with'):
        read_labelled(path)
    path.write_text('\n"prompt"\n')
    with pytest.raises(ValueError, match=r"labelled.jsonl:2 needs a JSON object, got"):
        read_labelled(path)
    path.write_text('{"answers": ["a"]}\n')
    with pytest.raises(ValueError, match=r'labelled.jsonl:1 needs "prompt", got'):
        read_labelled(path, "judge")


@pytest.mark.parametrize(
    "arguments", [("compute",), ("pilot",), ("winrate", "answer", "--instructions")]
)
def test_a_wrong_line_is_one_line_of_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text('{"question": "a"}\n')
    assert main([*arguments, str(path), "--model", "m"]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    command = " ".join(word for word in arguments if not word.startswith("-"))
    assert message.startswith(f"redraft bench {command}: {path}:1 needs")
    assert 'got {"question": "a"}' in message


def test_the_workbench_writes_labelled_prompts_that_its_judge_grades(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    arguments = ["--split", "test", "--count", "20", "--seed", "5", "--output", str(path)]
    assert tasks.main([*arguments, "--labelled"]) == 0
    rows = read_labelled(path, "judge")
    assert {row.group for row in rows} == set(FAMILIES)
    for row in rows:
        assert bool(row.answers) is not FAMILIES[row.group].is_open
    asked = [(row, answer(task_for(row.prompt))) for row in rows]
    with serving(build_app(OfWorkbench())) as server:
        judging = grader(tmp_path, server.v1)
        grades = asyncio.run(judging.grade([*asked, *((row, "no idea") for row in rows)]))
    assert [grades.of(*pair) for pair in asked] == [True] * 20
    assert not any(grades.of(row, "no idea") for row in rows)
    closed = [(row, text) for row, text in asked if row.answers]
    compared = asyncio.run(Grader().grade(closed))
    assert all(compared.of(*pair) for pair in closed)


def test_a_prompt_is_written_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    arguments = ["--family", "total", "--count", "2", "--output", str(path)]
    assert tasks.main([*arguments, "--labelled"]) == 0
    row = json.loads(path.read_text().splitlines()[0])
    assert set(row) == {"prompt", "answers", "group"}


def test_copies_of_a_prompt_count_once_and_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text(
        '{"prompt": "a", "answers": ["b"]}\n' * 50 + '{"prompt": "a", "answers": ["c"]}'
    )
    assert read_labelled(path) == [LabelledPrompt("a", ("b",)), LabelledPrompt("a", ("c",))]
    assert capsys.readouterr().err == f"{path}: 49 prompts are copies of others and count once\n"
