"""Quality against compute: every way is asked every prompt, and all its tokens count."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import compute
from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.grading.labelled import MATCHES, LabelledPrompt, Match, read_labelled
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Served, answering

FEEDBACK, REFINEMENT = (f"<|{m.ids[0]}|>" for m in (FORMAT.feedback, FORMAT.refinement))


def write(path: Path, prompts: int) -> Path:
    rows = [{"prompt": f"double {n}", "answers": [str(2 * n)]} for n in range(prompts)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def mends(prompt: str, sampling: Sampling) -> str:
    """Doubles numbers: drafts of odd ones are wrong, refinements are right."""
    number = int(re.findall(r"double (\d+)", prompt)[-1])
    if prompt.endswith(FEEDBACK):
        return feedback(3)
    wrong = number % 2 and REFINEMENT not in prompt
    return str(2 * number + bool(wrong))


def run(served: Served, labelled: Path, *more: str) -> tuple[int, dict[str, Any]]:
    out = labelled.parent / "out"
    arguments = [str(labelled), "--url", served.v1, "--model", "scripted", "--retries", "0"]
    code = compute.main([*arguments, "--out", str(out), *more])
    return code, json.loads((out / "compute.json").read_text())


def test_ways_are_compared_with_the_first_and_their_tokens_count(tmp_path: Path) -> None:
    ways = ["--way", 'direct={"max_iterations": 0}', "--way", 'refined={"max_iterations": 1}']
    with answering(ScriptedEngine(reply=mends)) as served:
        code, result = run(served, write(tmp_path / "labelled.jsonl", 20), *ways)
    assert code == 0
    direct, refined = result["figures"]["direct"], result["figures"]["refined"]
    assert (direct["right"]["estimate"], refined["right"]["estimate"]) == (50, 100)
    assert (refined["wrong_to_right"], refined["right_to_wrong"]) == (10, 0)
    assert refined["gain"]["difference"]["estimate"] == 50
    # A number and an end: two tokens. Feedback and a refinement besides.
    assert direct["tokens"]["estimate"] == 2
    assert refined["tokens"]["estimate"] > 2 * direct["tokens"]["estimate"]


def test_a_vote_takes_the_commonest_draft_and_pays_for_all(tmp_path: Path) -> None:
    drafts = itertools.cycle(["5", "0", "7", "0", "0"])
    with answering(ScriptedEngine(reply=lambda prompt, sampling: next(drafts))) as served:
        labelled = write(tmp_path / "labelled.jsonl", 1)
        _, result = run(served, labelled, "--way", 'vote={"vote": 5}')
    assert result["figures"]["vote"]["right"]["estimate"] == 100
    assert result["figures"]["vote"]["tokens"]["estimate"] == 10


def test_a_stopped_run_goes_on_and_gives_the_same_table(tmp_path: Path) -> None:
    labelled = write(tmp_path / "labelled.jsonl", 10)
    engine = ScriptedEngine(reply=mends)
    ways = ["--way", 'direct={"max_iterations": 0}', "--way", 'refined={"max_iterations": 2}']
    with answering(engine) as served:
        _, whole = run(served, labelled, *ways)
        ledger = tmp_path / "out" / "answers.jsonl"
        ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:7]))
        asked = len(engine.history)
        _, again = run(served, labelled, *ways)
    assert again["figures"] == whole["figures"]
    assert 0 < len(engine.history) - asked < asked


def test_what_cannot_be_asked_is_a_counted_failure(tmp_path: Path) -> None:
    ways = ["--way", 'direct={"max_iterations": 0}', "--way", 'many={"drafts": 999}']
    with answering(ScriptedEngine(reply=mends)) as served:
        labelled = write(tmp_path / "labelled.jsonl", 3)
        arguments = [str(labelled), "--url", served.v1, "--model", "scripted", "--retries", "0"]
        assert bench(["compute", *arguments, "--out", str(tmp_path / "out"), *ways]) == 1


def test_a_line_without_answers_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text('{"prompt": "a", "answers": ["b"]}\n\n{"prompt": "c"}\n')
    with pytest.raises(ValueError, match=r"labelled.jsonl:3 needs"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("how", "answer", "right", "same"),
    [
        ("exact", " Paris\n", "Paris", True),
        ("exact", "paris", "Paris", False),
        ("words", "ant  BEE", "Ant bee", True),
        ("number", "The answer is 1,000.", "1000", True),
        ("number", "no number", "none", False),
        ("contains", "It is Paris, I think.", "paris", True),
    ],
)
def test_answers_compare_as_asked(how: Match, answer: str, right: str, same: bool) -> None:
    assert MATCHES[how](answer, right) is same
    assert LabelledPrompt("asked", ("something else", right)).is_right(answer, how) is same
