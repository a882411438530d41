"""Task scorers reproduce published accuracies; task sets are read as the paper asks them; a run
goes through the harness without a network."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import tasks
from redraft.benchmarks.grading import task_sets
from redraft.benchmarks.grading.scorers import bbh_right, gsm8k_answer, gsm8k_right, squad_f1
from redraft.benchmarks.harness import run
from tests.support.evaldata import EVALDATA, stored
from tests.support.judging import application
from tests.support.serving import serving


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She makes 9 * 2 = $18 every day.\n#### 18", "18"),
        ("so 3 + 4 = 7.\nA: 7", "7"),
        ("First 12, then 5. So the answer is 1,250.50.", "1250.5"),
        ("The answer is $-3", "-3"),
        ("The answer is 4. Wait, the answer is 5.", "5"),
        ("I count 3 apples and 4 pears, 7 in all", "7"),
        ("70.0 dollars", "70"),
        ("no number at all", None),
    ],
)
def test_the_number_a_solution_ends_with(text: str, number: str | None) -> None:
    assert gsm8k_answer(text) == number


def test_a_solution_without_a_number_is_wrong() -> None:
    assert not gsm8k_right("I cannot say", "#### 18")


def test_bbh_is_exact_and_case_counts() -> None:
    assert bbh_right("Let's see. So the answer is (B).", "(B)")
    assert bbh_right("valid", "valid")
    assert not bbh_right("So the answer is Yes.", "yes")


def test_f1_is_word_overlap_with_the_nearest_right_answer() -> None:
    assert squad_f1("The Wound-Care!", ["woundcare"]) == 1
    assert squad_f1("in the year 1999", ["1999", "the year 1999"]) == pytest.approx(0.8)
    assert squad_f1("", ["1999"]) == 0


def test_stored_outputs_get_their_published_accuracies(tmp_path: Path) -> None:
    stored("bbh/expected.json")
    assert tasks.main(["verify", "--data", str(EVALDATA), "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "scorers.json").read_text())["figures"]
    assert figures == {"outputs": 38, "same": 38}


def test_every_scored_solution_gets_its_verdict() -> None:
    path = stored("gsm8k/scored_model_solutions.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for model in ("6b_finetuning", "175b_finetuning"):
            right = gsm8k_right(row[model]["solution"], row["ground_truth"])
            assert right == row[model]["is_correct"]


def test_prompts_show_as_many_examples_as_the_paper_does() -> None:
    folder = stored("gsm8k").parent
    first = next(task_sets.gsm8k(folder))
    assert first.prompt.count("Question:") == 9
    assert first.prompt.count("So the answer is") == 8
    assert "<<" not in first.prompt
    prompts = {document.group: document.prompt for document in task_sets.bbh(folder)}
    assert len(prompts) == 27
    assert all(prompt.count("Let's think step by step.") == 4 for prompt in prompts.values())
    assert not any("canary" in prompt for prompt in prompts.values())
    asked = list(task_sets.tydiqa(folder))
    assert len({document.group for document in asked}) == 9
    # Six languages have no training file; their example is a question that is not asked.
    assert len(asked) == 5077 - 6
    assert all(document.prompt.count("Short answer:") == 2 for document in asked)


def test_a_set_of_several_groups_scores_their_mean() -> None:
    rows = [{"group": "a", "score": 1.0}] * 30 + [{"group": "b", "score": 0.0}] * 10
    result = run.score([*rows, {"group": "b", "score": math.nan}])
    assert result.estimate == 50
    assert result.n == 40


@pytest.mark.slow
def test_a_run_goes_through_the_harness_offline_and_counts_what_failed(tmp_path: Path) -> None:
    """The documents are ours, so that what is right is known."""
    pytest.importorskip("lm_eval", reason="the bench extra is not installed")
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    (folder / "train.jsonl").write_text("")
    questions = {"Say 4": "#### 4", "Say 5": "#### 6", "unanswerable": "#### 1"}
    rows = [
        json.dumps({"question": asked, "answer": solution}) for asked, solution in questions.items()
    ]
    (folder / "test.jsonl").write_text("\n".join(rows))
    with serving(application()) as served:
        arguments = ["run", "--data", str(tmp_path), "--sets", "gsm8k", "--url", served.v1]
        models = ["--model", "m:direct", "--model", "m:refine", "--retries", "0"]
        assert tasks.main([*arguments, *models, "--out", str(tmp_path)]) == 1
    result = json.loads((tmp_path / "tasks.json").read_text())
    assert result["failures"] == {"http_500": 2}
    for model in ("m:direct", "m:refine"):
        scored = result["figures"]["scores"][model]["gsm8k"]
        assert (scored["estimate"], scored["n"]) == (50, 2)
