"""The pilot: policies are replayed on whole loops, refining is recommended only where it is shown
to help, and the policy reaches the model's manifest."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import pilot
from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.pilot import OFF, Loop, candidates, cheapest_best, outcome, try_policy
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine import manifest
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.service import Service
from redraft.train.exact.app import build_app
from redraft.train.exact.of_workbench import OfWorkbench
from redraft.train.workbench.tasks import answer, sample
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Served, answering, serving

pytestmark = pytest.mark.slow  # many small servers and loops: seconds in all

FEEDBACK, REFINEMENT = (f"<|{m.ids[0]}|>" for m in (FORMAT.feedback, FORMAT.refinement))


def test_a_gate_ends_the_loop_and_saves_what_comes_after() -> None:
    loop = Loop((False, True, False), (10, 12, 14), (4, 9), feedback_tokens=20)
    assert outcome(loop, OFF) == (False, 10)
    assert outcome(loop, DefaultPolicy(1)) == (True, 10 + 20 + 12)
    assert outcome(loop, DefaultPolicy(2)) == (False, 10 + 20 + 12 + 20 + 14)
    assert outcome(loop, DefaultPolicy(2, good_enough=9)) == (True, 10 + 20 + 12 + 20)


def test_a_loop_that_ended_early_costs_only_what_it_did() -> None:
    loop = Loop((True,), (10,), (10,), feedback_tokens=20)
    assert outcome(loop, DefaultPolicy(3, good_enough=10)) == (True, 30)
    unchanged = Loop((False, False), (10, 10), (5,), feedback_tokens=20)
    assert outcome(unchanged, DefaultPolicy(3)) == (False, 40)


def test_among_equally_good_policies_the_cheapest_wins() -> None:
    loops = [Loop((False, True, True), (10, 10, 10), (4, 8), 20)] * 10
    assert cheapest_best(loops, candidates(3)).policy == DefaultPolicy(1, 10)


@pytest.mark.parametrize(("mended", "spoiled", "refines"), [(30, 2, True), (4, 30, False)])
def test_refining_is_recommended_only_where_it_helps(
    mended: int, spoiled: int, refines: bool
) -> None:
    kinds = [(False, True)] * mended + [(True, False)] * spoiled + [(True, True)] * 40
    order = sorted(range(len(kinds)), key=lambda place: place * 37 % 101)
    loops = [Loop(kinds[place], (10, 10), (5,), 20) for place in order]
    result = pilot.recommend(loops, max_iterations=1, seed=0)
    assert (result.policy.max_iterations > 0) == refines


def test_a_gain_that_chance_explains_recommends_nothing() -> None:
    loops = [Loop((True, True), (10, 10), (5,), 20)] * 60
    loops += [Loop((False, True), (10, 10), (5,), 20)] * 2 + [Loop((True, False), (9, 9), (5,), 9)]
    assert pilot.recommend(loops, 1, 0) == try_policy(loops, OFF)


def engine(spoils: bool) -> ScriptedEngine:
    """Doubles numbers: drafts of odd ones are wrong. Refinements are right, or with ``spoils``
    wrong; feedback sees no fault in a right draft unless it spoils."""

    def reply(prompt: str, sampling: Sampling) -> str:
        asked = re.findall(r"double (\d+)", prompt)
        number = int(asked[-1])
        wrong_draft = bool(number % 2) and not spoils
        if prompt.endswith(FEEDBACK):
            return feedback(3 if spoils or wrong_draft else 10)
        right = not spoils if REFINEMENT in prompt else not wrong_draft
        return str(2 * number if right else 2 * number + 1)

    return ScriptedEngine(reply=reply)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    rows = [{"prompt": f"double {n}", "answers": [str(2 * n)]} for n in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "tokenizer.json").write_text("{}")
    manifest.write(directory, FORMAT, evaluation={"right": 0.5})
    return directory


def run(scripted: ScriptedEngine, labelled: Path, model: Path, *more: str) -> dict[str, Any]:
    """The pilot's result; the server follows the policy that the model has."""
    out = labelled.parent / "out"
    with served(scripted, model) as server:
        arguments = [str(labelled), "--url", server.v1, "--model", "scripted", "--retries", "0"]
        assert pilot.main([*arguments, "--write", str(model), "--out", str(out), *more]) == 0
    result: dict[str, Any] = json.loads((out / "pilot.json").read_text())
    return result


def served(scripted: ScriptedEngine, model: Path) -> AbstractContextManager[Served]:
    return answering(scripted, Service(ServedModel(scripted, manifest.read(model))))


def asked(scripted: ScriptedEngine, model: Path) -> dict[str, Any]:
    """What a request gets that says nothing about refinement."""
    with served(scripted, model) as server:
        body = {"model": "scripted", "messages": [{"role": "user", "content": "double 7"}]}
        result: dict[str, Any] = httpx.post(f"{server.v1}/chat/completions", json=body).json()
    return result


def test_a_model_that_mends_its_drafts_gets_a_policy_that_the_server_follows(
    labelled: Path, model: Path
) -> None:
    figures = run(engine(spoils=False), labelled, model)["figures"]
    assert figures["wrong_drafts"]["estimate"] == 0.5
    assert figures["recovery"]["estimate"] == 1
    assert figures["disruption"]["estimate"] == 0
    written = manifest.read(model)
    assert written
    assert written.policy == DefaultPolicy(1, 10, "last")
    assert written.evaluation["right"] == 0.5
    assert written.evaluation["pilot"]["prompts"] == 60
    assert written.evaluation["pilot"]["options"]["off"]["right"]["estimate"] == 100
    assert written.evaluation["pilot"]["recommended_option"] is None  # none is ahead of the policy
    answered = asked(engine(spoils=False), model)
    assert answered["choices"][0]["message"]["content"] == "14"
    assert answered["refine"]["iterations"] == 1


def test_a_model_that_spoils_its_drafts_gets_refinement_switched_off(
    labelled: Path, model: Path
) -> None:
    assert asked(engine(spoils=True), model)["refine"]["iterations"] == 1
    figures = run(engine(spoils=True), labelled, model)["figures"]
    assert figures["disruption"]["estimate"] == 1
    assert figures["recommended"] == {"max_iterations": 0, "good_enough": None, "keep": "last"}
    answered = asked(engine(spoils=True), model)
    assert answered["choices"][0]["message"]["content"] == "14"
    assert answered["refine"]["iterations"] == 0


def test_a_gate_that_the_model_has_already_is_not_in_the_way(labelled: Path, model: Path) -> None:
    """A gate at 3 would keep every wrong draft, and the pilot would see nothing mended."""
    manifest.write(model, FORMAT, DefaultPolicy(1, good_enough=3))
    figures = run(engine(spoils=False), labelled, model)["figures"]
    assert figures["recovery"]["estimate"] == 1
    assert figures["recommended"]["good_enough"] == 10


def test_an_option_that_is_shown_to_be_ahead_of_the_policy_is_recommended(
    labelled: Path, model: Path
) -> None:
    """Its feedback leads it astray; without any it mends its drafts."""

    def reply(prompt: str, sampling: Sampling) -> str:
        number = int(re.findall(r"double (\d+)", prompt)[-1])
        if prompt.endswith(FEEDBACK):
            return feedback(3)
        without = REFINEMENT in prompt and "[[3]]" not in prompt
        return str(2 * number if without else 2 * number + 1)

    figures = run(ScriptedEngine(reply=reply), labelled, model)["figures"]
    assert figures["recommended"]["max_iterations"] == 0
    assert figures["recommended_option"] == {"feedback_by": "off", "max_iterations": 1}
    assert figures["options"]["off"]["ahead_of_policy"]["difference"]["estimate"] == 100
    written = manifest.read(model)
    assert written
    assert written.evaluation["pilot"]["recommended_option"]["feedback_by"] == "off"


def test_an_option_that_the_server_does_not_allow_is_left_out(
    labelled: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(ServedModel(engine(spoils=False), manifest.read(model)))
    out = labelled.parent / "out"
    with answering(ScriptedEngine(), service, max_drafts_cap=1) as server:
        arguments = [str(labelled), "--url", server.v1, "--model", "scripted", "--retries", "0"]
        asked = ["--options", "candidates", "votes", "--out", str(out)]
        assert pilot.main([*arguments, *asked]) == 0
    result = json.loads((out / "pilot.json").read_text())
    assert list(result["figures"]["options"]) == ["votes"]
    assert "option candidates is left out: " in capsys.readouterr().err


def test_scores_that_say_nothing_get_a_policy_without_a_gate(labelled: Path, model: Path) -> None:
    def reply(prompt: str, sampling: Sampling) -> str:
        number = int(re.findall(r"double (\d+)", prompt)[-1])
        if prompt.endswith(FEEDBACK):
            return feedback(10)
        return str(2 * number if REFINEMENT in prompt else 2 * number + 1)

    figures = run(ScriptedEngine(reply=reply), labelled, model)["figures"]
    assert figures["recommended"] == {"max_iterations": 1, "good_enough": None, "keep": "last"}
    assert asked(ScriptedEngine(reply=reply), model)["refine"]["iterations"] == 1


def test_feedback_that_cannot_be_read_is_an_outcome_and_no_failure(
    labelled: Path, model: Path
) -> None:
    scripted = ScriptedEngine(reply=lambda prompt, sampling: "no idea")
    result = run(scripted, labelled, model)
    assert result["failures"] == {}
    assert result["figures"]["recommended"]["max_iterations"] == 0


def test_with_a_judge_no_answers_are_needed(tmp_path: Path, model: Path) -> None:
    tasks = sample("test", "addends", 60, seed=1)  # where many answers are right
    right = {task.instruction: answer(task) for task in tasks}

    def reply(prompt: str, sampling: Sampling) -> str:
        if prompt.endswith(FEEDBACK):
            return feedback(3)
        return right[prompt.split("\n")[1]] if REFINEMENT in prompt else "no idea"

    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text("".join(json.dumps({"prompt": asked}) + "\n" for asked in right))
    with serving(build_app(OfWorkbench())) as judge:
        scripted = ScriptedEngine(reply=reply)
        figures = run(scripted, labelled, model, "--judge", judge.v1)["figures"]
    assert figures["wrong_drafts"]["estimate"] == 1
    assert figures["recovery"]["estimate"] == 1
    assert figures["recommended"]["max_iterations"] == 1


def test_without_a_judge_that_answers_nothing_is_recommended(
    labelled: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (model / manifest.NAME).read_bytes()
    with serving(FastAPI()) as judge, served(engine(spoils=False), model) as server:
        arguments = [str(labelled), "--url", server.v1, "--model", "scripted", "--retries", "0"]
        more = ["--judge", judge.v1, "--write", str(model), "--out", str(labelled.parent / "out")]
        assert bench(["pilot", *arguments, *more]) == 1
    assert "only 0 prompts were answered: {'unjudged_http_404': 60}" in capsys.readouterr().err
    assert (model / manifest.NAME).read_bytes() == before


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text(json.dumps({"prompt": "a", "answers": ["b"]}))
    assert bench(["pilot", str(path), "--model", "m"]) == 2
