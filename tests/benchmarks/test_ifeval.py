"""IFEval through a real server whose model is known: it shouts, and lowers its voice when it
refines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks.__main__ import main as bench
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.loops import feedback
from tests.support.published_ifeval import published_ifeval
from tests.support.serving import Served, answering

QUIET = [
    {"prompt": f"{topic} in lower case", "meta": {"checks": [{"kind": "lowercase"}]}}
    for topic in ("Rain", "Snow", "Fog")
]
asked: list[str] = []


def reply(prompt: str, sampling: Sampling) -> str:
    asked.append(prompt)
    if "### Improved Response" in prompt:
        return "quiet, at last"
    if "### Feedback" in prompt:
        return feedback(10 if "quiet" in prompt.rpartition("### Feedback")[0] else 2)
    return "LOUD"


@pytest.fixture
def served() -> Iterator[Served]:
    asked.clear()
    engine = ScriptedEngine(reply=reply)
    with answering(engine, Service(ServedModel(engine))) as server:
        yield server


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    path = tmp_path / "quiet.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUIET))
    return path


def measure(out: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = bench(["ifeval", "--out", str(out), "--retries", "0", *arguments])
    result: dict[str, Any] = json.loads((out / "ifeval.json").read_text())
    return code, result


def strict(result: dict[str, Any], stage: str, grader: str = "checks") -> float:
    share: float = result["figures"]["graders"][grader]["shares"][stage]["prompt strict"][
        "estimate"
    ]
    return share


def test_one_request_gives_the_draft_and_the_refined_answer(
    served: Served, quiet: Path, tmp_path: Path
) -> None:
    code, result = measure(tmp_path, "--url", served.v1, "--data", str(quiet), "--iterations", "1")
    assert code == 0
    assert (strict(result, "draft"), strict(result, "answer")) == (0, 100)
    assert len(asked) == 3 * len(QUIET)
    assert result["figures"]["graders"]["checks"]["flips"]["numbers"]["wrong_to_right"] == 3


def test_prompts_without_constraints_tell_what_is_left_alone(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "free.jsonl"
    rows = [*QUIET, {"instruction": "What is rain?"}, {"instruction": "What is quiet?"}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("--url", served.v1, "--data", str(data), "--iterations", "1")
    assert bench(["ifeval", *arguments]) != 0
    assert "free.jsonl:4 needs a row of IFEval, or a prompt with" in capsys.readouterr().err
    gate = ("--refine", '{"good_enough": 10}')
    _, result = measure(tmp_path, *arguments, *gate, "--unconstrained")
    figures = result["figures"]
    assert figures["graders"]["checks"]["shares"]["draft"]["prompt strict"]["n"] == len(QUIET)
    assert figures["unconstrained"]["unchanged"]["n"] == 2
    # The model hears "quiet" in the second and finds nothing to mend.
    assert figures["unconstrained"]["unchanged"]["estimate"] == 50
    assert figures["unconstrained"]["called_right"]["estimate"] == 50


def test_without_any_constraint_nothing_is_graded(served: Served, tmp_path: Path) -> None:
    data = tmp_path / "free.jsonl"
    data.write_text(json.dumps({"instruction": "What is rain?"}) + "\n")
    code, result = measure(tmp_path, "--url", served.v1, "--data", str(data), "--unconstrained")
    assert code == 0
    assert result["figures"]["graders"] == {}
    assert [table["title"] for table in result["tables"]] == ["The loop"]


def test_an_interrupted_run_goes_on_and_what_is_there_is_graded_again_without_asking(
    served: Served, quiet: Path, tmp_path: Path
) -> None:
    arguments = ("--url", served.v1, "--data", str(quiet))
    measure(tmp_path, *arguments, "--limit", "2")
    before = len(asked)
    _, whole = measure(tmp_path, *arguments)
    assert len(asked) == before * 3 // 2
    recorded = str(tmp_path / "replies.jsonl")
    nowhere = ("--url", "http://127.0.0.1:9/v1")
    _, again = measure(tmp_path, *nowhere, "--data", str(quiet), "--recorded", recorded)
    assert again["figures"] == whole["figures"]
    assert len(asked) == before * 3 // 2


def test_two_runs_are_shown_side_by_side_paired_by_prompt(
    served: Served, quiet: Path, tmp_path: Path
) -> None:
    arguments = ("--url", served.v1, "--data", str(quiet))
    measure(tmp_path / "off", *arguments, "--iterations", "0", "--limit", "2")
    before = tmp_path / "off" / "replies.jsonl"
    _, result = measure(tmp_path / "on", *arguments, "--iterations", "1", "--against", str(before))
    found = result["figures"]["against"]
    assert found["prompts"] == 2
    answers = found["graders"]["checks"]["answers"]["prompt strict"]
    assert [answers[run]["estimate"] for run in ("ours", "theirs", "difference")] == [100, 0, 100]
    assert (found["graders"]["checks"]["only_ours"], found["graders"]["checks"]["only_theirs"]) == (
        2,
        0,
    )
    assert found["graders"]["checks"]["verdict"]["ours"]["wrong_found"]["estimate"] == 100
    assert found["graders"]["checks"]["verdict"]["theirs"] == {}  # it asked for no feedback
    assert result["tables"][-1]["title"] == "Beside replies.jsonl"


def test_a_run_that_cannot_be_compared_with_is_told_before_anything_is_asked(
    served: Served, quiet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"prompt": "Another", "reply": {}}) + "\n")
    arguments = ("--url", served.v1, "--data", str(quiet), "--against", str(other))
    assert bench(["ifeval", *arguments, "--out", str(tmp_path)]) != 0
    assert "has a reply to none of the 3 prompts" in capsys.readouterr().err
    assert asked == []


def test_given_checks_are_the_feedback(served: Served, quiet: Path, tmp_path: Path) -> None:
    options = ("--url", served.v1, "--data", str(quiet), "--checks", "given")
    _, result = measure(tmp_path, *options)
    assert strict(result, "answer") == 100
    assert not any(prompt.endswith("### Feedback\n") for prompt in asked)
    assert result["figures"]["loop"]["stop_reasons"] == {"checks_passed": 3}


def test_any_option_of_the_loop_can_be_given(served: Served, quiet: Path, tmp_path: Path) -> None:
    refine = json.dumps({"feedback_by": "off", "max_iterations": 2})
    options = ("--url", served.v1, "--data", str(quiet), "--refine", refine)
    _, result = measure(tmp_path, *options)
    assert not any(prompt.endswith("### Feedback\n") for prompt in asked)
    assert strict(result, "answer") == 100


def test_a_server_that_is_not_redraft_is_asked_directly(
    served: Served, quiet: Path, tmp_path: Path
) -> None:
    options = ("--url", served.v1, "--data", str(quiet), "--direct", "--model", "scripted:direct")
    _, result = measure(tmp_path, *options)
    assert list(result["figures"]["graders"]["checks"]["shares"]) == ["draft"]
    assert len(asked) == len(QUIET)


def test_ifevals_own_checkers_grade_its_prompts_beside_the_checks(
    served: Served, tmp_path: Path
) -> None:
    published_ifeval()
    code, result = measure(tmp_path, "--url", served.v1, "--limit", "6")
    assert code == 0
    assert list(result["figures"]["graders"]) == ["published", "checks"]
    assert result["figures"]["agreement"]
    assert [table["title"] for table in result["tables"]][-1] == "Where the graders differ"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--drafts", "2"), "--drafts above 1 needs --temperature"),
        (("--refine", "[1]"), "--refine: expected a JSON object"),
        (("--direct", "--iterations", "1"), "--direct asks for no refinement"),
        (("--recorded", "nowhere.jsonl"), "there is no nowhere.jsonl"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert bench(["ifeval", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_replies_of_several_runs_are_refused(
    served: Served, quiet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tokens in ("100", "200"):
        measure(tmp_path, "--url", served.v1, "--data", str(quiet), "--max-tokens", tokens)
    recorded = str(tmp_path / "replies.jsonl")
    assert bench(["ifeval", "--data", str(quiet), "--recorded", recorded]) == 2
    assert "replies of several runs" in capsys.readouterr().err


def test_the_prompts_become_instructions_for_the_trainer(tmp_path: Path) -> None:
    path = tmp_path / "ifeval.jsonl"
    assert bench(["ifeval-instructions", "--output", str(path)]) == 0
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 541
    assert rows[1]["meta"]["kinds"] == ["no_comma"]
