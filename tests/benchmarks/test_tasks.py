"""Task scorers reproduce published accuracies; task sets are read as the paper asks them; a run
goes through the harness without a network."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import tasks
from redraft.benchmarks.grading import task_sets
from redraft.benchmarks.grading.scorers import bbh_right, gsm8k_answer, gsm8k_right, squad_f1
from redraft.benchmarks.harness import run
from redraft.server import jsonl
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


def flipped(row: dict[str, Any]) -> None:
    for model in ("6b_finetuning", "175b_finetuning"):
        row[model]["is_correct"] = not row[model]["is_correct"]


def unknown(figures: dict[str, Any]) -> None:
    for of_model in figures.values():
        of_model["accuracy"] = math.nan


def swapped(rows: list[dict[str, Any]]) -> None:
    """As many right as before, of one question twice."""
    rows[1] = rows[0]


GSM8K = ("gsm8k/scored_model_solutions.jsonl", "gsm8k/expected.json")
BOOLEAN = "bbh/scored_outputs/boolean_expressions.jsonl"


@pytest.mark.parametrize(
    ("path", "change", "why"),
    [
        (GSM8K[0], lambda rows: [*map(flipped, rows)], "1319 verdicts differ"),
        (GSM8K[0], lambda rows: rows.extend(rows[:]), "2638 rows instead of 1319"),
        (GSM8K[0], swapped, "1 rows are there twice"),
        (GSM8K[0], lambda rows: rows.pop(), "1318 rows instead of 1319"),
        (GSM8K[1], unknown, "is not the accuracy published"),
        (BOOLEAN, lambda rows: rows.extend(rows[:]), "500 rows instead of 250"),
    ],
)
def test_outputs_that_are_not_those_published_are_told(
    tmp_path: Path, path: str, change: Callable[[Any], object], why: str
) -> None:
    data = copied(tmp_path)
    changed = data / path
    if path.endswith(".jsonl"):
        rows = list(jsonl.read(changed))
        change(rows)
        jsonl.write(changed, rows)
    else:
        content = json.loads(changed.read_text())
        change(content)
        changed.write_text(json.dumps(content))
    assert tasks.main(["verify", "--data", str(data), "--out", str(tmp_path)]) == 1
    outcome = json.loads((tmp_path / "scorers.json").read_text())
    verdicts = [row[-1] for row in outcome["tables"][0]["rows"]]
    assert sum(why in verdict for verdict in verdicts) == outcome["failures"]["different"] == 2


@pytest.mark.parametrize("path", [GSM8K[1], "bbh/expected.json"])
def test_nothing_expected_verifies_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    data = copied(tmp_path)
    (data / path).write_text("{}")
    assert tasks.main(["verify", "--data", str(data), "--out", str(tmp_path)]) == 2
    expected = f"{data / path} needs an object with published figures, got {{}}\n"
    assert capsys.readouterr().err.endswith(expected)


def copied(folder: Path) -> Path:
    """A copy of the outputs with published figures, to be changed."""
    for path in (*GSM8K, "bbh/expected.json"):
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(stored(path), folder / path)
    shutil.copytree(stored("bbh/scored_outputs"), folder / "bbh" / "scored_outputs")
    return folder


def test_every_scored_solution_gets_its_verdict() -> None:
    path = stored("gsm8k/scored_model_solutions.jsonl")
    for row in jsonl.read(path):
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
    # The server repeats the prompt, of which the first question is left.
    shown = {"question": "Say 4", "answer": "#### four"}
    jsonl.write(folder / "train.jsonl", [shown] * 8)
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
