"""The win rate from end to end, against a judge on a real socket: what fails is unjudged, what is
done is not done again, and the order of the answers favours nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from redraft.benchmarks import winrate
from redraft.benchmarks.grading.judge import first_token, reference_first, share_of_first
from redraft.benchmarks.load.endpoint import CallFailed
from redraft.benchmarks.winrates.alpaca import (
    SystemAnswer,
    read_annotations,
    read_answers,
    read_instructions,
)
from redraft.benchmarks.winrates.known_set import digest
from redraft.server import jsonl
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.train.exact.app import build_app
from redraft.train.exact.of_workbench import OfWorkbench
from redraft.train.stages import tasks
from redraft.train.workbench.tasks import answer, task_for
from tests.support.evaldata import stored
from tests.support.judging import application
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Served, answering, serving

FEEDBACK, REFINEMENT = (f"<|{m.ids[0]}|>" for m in (FORMAT.feedback, FORMAT.refinement))

# What the judge does, by the word in the answer, and what that is counted as.
MISBEHAVIOURS = {
    "broken": "http_500",
    "too long": "http_400",
    "no JSON": "not_json",
    "refusal": "no_verdict",
    "content filter": "no_logprobs",
    "no logprobs": "no_logprobs",
    "null logprobs": "no_logprobs",
    "nonsense": "no_verdict",
    "wrong numbers": "no_logprobs",
    "words for numbers": "no_logprobs",
    "no choices": "no_logprobs",
    "no object": "no_logprobs",
}


@pytest.fixture(scope="module")
def app() -> Any:
    return application()


@pytest.fixture(scope="module")
def served(app: Any) -> Iterator[Served]:
    with serving(app) as server:
        yield server


def write(path: Path, outputs: dict[str, str]) -> Path:
    rows = [{"instruction": asked, "output": output} for asked, output in outputs.items()]
    path.write_text(json.dumps(rows))
    return path


def judge(served: Served, directory: Path, *more: str) -> int:
    arguments = ["judge", "--url", served.v1, "--model", "judge", "--retries", "0"]
    files = ["--reference", str(directory / "reference.json"), "--out", str(directory)]
    return winrate.main([*arguments, *files, "--resamples", "0", *more])


def result(directory: Path, name: str = "winrate") -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads((directory / f"{name}.json").read_text())
    return outcome


def last_line(text: str) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(text.splitlines()[-1])
    return outcome


def test_the_better_answer_wins_whatever_the_order(served: Served, tmp_path: Path) -> None:
    asked = [f"instruction {number}" for number in range(40)]
    write(tmp_path / "reference.json", dict.fromkeys(asked, "bad and rather long"))
    write(tmp_path / "answers.json", dict.fromkeys(asked, "good"))
    assert judge(served, tmp_path) == 0
    figures = result(tmp_path)["figures"][tmp_path.name]
    assert figures["wins"] == 40
    # First with 0.95 to 0.05, or second with 0.75 to 0.25: a mix of both orders.
    assert 75 < figures["win_rate"] < 95
    assert {reference_first(0, each) for each in asked} == {True, False}


def test_with_both_orders_the_preference_is_their_mean(served: Served, tmp_path: Path) -> None:
    write(tmp_path / "reference.json", {"one": "bad", "two": "bad"})
    write(tmp_path / "answers.json", {"one": "good", "two": "good"})
    assert judge(served, tmp_path, "--both-orders") == 0
    assert result(tmp_path)["figures"][tmp_path.name]["win_rate"] == pytest.approx(85)


@pytest.mark.parametrize("word", MISBEHAVIOURS)
def test_a_judge_that_fails_refuses_or_says_nothing_usable_leaves_the_answer_unjudged(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    outputs = {"one": "good", "two": "good", "three": "good", "four": f"good but {word}"}
    write(tmp_path / "reference.json", dict.fromkeys(outputs, "bad"))
    write(tmp_path / "answers.json", outputs)
    assert judge(served, tmp_path) == 1
    message = capsys.readouterr()
    assert "1 are unjudged; the limit is 0.04" in message.err
    outcome = last_line(message.out)
    assert outcome["failures"] == {MISBEHAVIOURS[word]: 1}
    figures = outcome["figures"][tmp_path.name]
    assert (figures["wins"], figures["losses"], figures["unjudged"]) == (3, 0, 1)
    assert judge(served, tmp_path, "--max-unjudged", "0.25") == 0
    assert judge(served, tmp_path, "--max-unjudged", "0.24") == 1


def test_what_was_not_answered_is_unjudged(served: Served, tmp_path: Path) -> None:
    outputs = {"one": "good", "two": "good"}
    write(tmp_path / "reference.json", dict.fromkeys([*outputs, "three"], "bad"))
    write(tmp_path / "answers.json", outputs | {"four": "good"})
    assert judge(served, tmp_path) == 1
    outcome = result(tmp_path)
    assert outcome["failures"] == {"no_answer": 1, "no_reference": 1}
    figures = outcome["figures"][tmp_path.name]
    assert (figures["wins"], figures["losses"], figures["unjudged"]) == (2, 0, 1)
    assert judge(served, tmp_path, "--max-unjudged", "0.7") == 0


def test_answers_to_other_instructions_are_told_apart_from_bad_ones(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "reference.json", {"one": "bad"})
    write(tmp_path / "answers.json", {"two": "good"})
    assert judge(served, tmp_path) == 2
    assert "none of the 1 answers is to one of the 1 instructions" in capsys.readouterr().err


def test_a_judge_that_judges_nothing_gives_no_rate(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "reference.json", {"one": "bad", "two": "bad"})
    write(tmp_path / "answers.json", dict.fromkeys(("one", "two"), "refusal"))
    assert judge(served, tmp_path, "--max-unjudged", "1") == 1
    assert "nothing was judged: {'no_verdict': 2}" in capsys.readouterr().err
    assert not (tmp_path / "winrate.json").exists()


def test_doubled_answers_count_once_and_are_told(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, output in (("reference", "bad"), ("answers", "good")):
        rows = [{"instruction": asked, "output": output} for asked in ("one", "two", "one")]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    assert judge(served, tmp_path) == 0
    message = capsys.readouterr()
    assert message.err.count("1 rows are copies of others and count once") == 2
    assert result(tmp_path)["figures"][tmp_path.name]["wins"] == 2
    rows[2]["output"] = "better"
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    assert judge(served, tmp_path) == 2
    assert "answers.json, row 3 is a second, different answer" in capsys.readouterr().err


def test_a_judges_journal_names_the_instruction_of_each_verdict(
    served: Served, tmp_path: Path
) -> None:
    write(tmp_path / "reference.json", {"one": "bad", "two": "bad"})
    write(tmp_path / "answers.json", {"one": "good", "two": "good"})
    judge(served, tmp_path)
    found = {a.instruction for a in read_annotations(tmp_path / "verdicts.jsonl")}
    assert found == {digest("one"), digest("two")}


def test_what_is_judged_is_not_asked_again(app: Any, served: Served, tmp_path: Path) -> None:
    write(tmp_path / "reference.json", {"one": "bad", "two": "bad", "three": "bad"})
    write(tmp_path / "answers.json", {"one": "good", "two": "good", "three": "broken"})
    judge(served, tmp_path)
    asked = len(app.state.bodies)
    judge(served, tmp_path)
    assert len(app.state.bodies) == asked + 1  # the one that failed
    judge(served, tmp_path, "--seed", "1")  # another drawing of the orders is another measurement
    assert len(app.state.bodies) == asked + 4


def test_a_ledger_whose_last_line_was_cut_loses_only_that_line(
    app: Any, served: Served, tmp_path: Path
) -> None:
    write(tmp_path / "reference.json", {"one": "bad", "two": "bad"})
    write(tmp_path / "answers.json", {"one": "good", "two": "good"})
    judge(served, tmp_path)
    ledger = tmp_path / "verdicts.jsonl"
    whole = ledger.read_text()
    ledger.write_text(whole[:-20])
    asked = len(app.state.bodies)
    judge(served, tmp_path)
    assert len(app.state.bodies) == asked + 1
    assert sorted(ledger.read_text().splitlines()) == sorted(whole.splitlines())


def test_answers_are_generated_once_with_the_refine_options_and_failures_counted(
    app: Any, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {"name a fish": "", "unanswerable": "", "name a bird": ""}
    reference = str(write(tmp_path / "reference.json", outputs))
    arguments = ["answer", "--instructions", reference, "--url", served.v1, "--model", "m"]
    options = ["--refine", '{"max_iterations": 2}', "--retries", "0", "--out", str(tmp_path)]
    assert winrate.main([*arguments, *options]) == 1
    assert last_line(capsys.readouterr().out)["failures"] == {"http_500": 1}
    assert app.state.bodies[-1]["refine"] == {"max_iterations": 2}
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert [a["output"] for a in answers] == ["good: name a fish", "good: name a bird"]
    asked = len(app.state.bodies)
    winrate.main([*arguments, *options])
    assert len(app.state.bodies) == asked + 1


def test_two_systems_are_compared_on_the_instructions_judged_for_both(tmp_path: Path) -> None:
    header = "row,instruction_index,len_reference,len_model,preference\n"
    for name, preferences in {
        "ours": ("2", "2", "1.9", "2"),
        "theirs": ("1", "1", "1.9", ""),
    }.items():
        rows = [f"{row},{row},10,9,{value}\n" for row, value in enumerate(preferences)]
        (tmp_path / f"{name}.csv").write_text(header + "".join(rows))
    files = [str(tmp_path / "ours.csv"), str(tmp_path / "theirs.csv")]
    assert winrate.main(["compare", *files, "--out", str(tmp_path)]) == 0
    outcome = result(tmp_path, "compare")
    assert (outcome["figures"]["wins"], outcome["figures"]["ties"]) == (2, 1)
    assert outcome["figures"]["difference"]["estimate"] == pytest.approx(200 / 3, abs=1e-5)
    assert outcome["failures"] == {"in_one_only": 1}


def test_verify_tells_a_right_file_from_a_wrong_one(tmp_path: Path) -> None:
    file = stored("alpaca_eval/annotations_slim/phi-2.csv")
    published = stored("alpaca_eval/expected_dev.json")
    arguments = ["--published", str(published), "--out", str(tmp_path)]
    assert winrate.main(["verify", str(file), *arguments]) == 0
    changed = tmp_path / "phi-2.csv"
    changed.write_text(file.read_text().replace("1.0000", "1.9000", 3))
    assert winrate.main(["verify", str(changed), *arguments]) == 1


def test_stored_log_probabilities_of_a_real_judge_give_its_stored_preferences() -> None:
    for path in sorted(stored("alpaca_eval/judge_logprobs").glob("*.jsonl")):
        for row in jsonl.read(path):
            if row["swapped"] is None:
                continue
            share = share_of_first([(token, logprob) for token, logprob in row["top_logprobs"]])
            preference = 1 + share if row["swapped"] else 2 - share
            assert preference == pytest.approx(row["preference"], abs=2e-6)


def test_a_reply_without_choices_is_a_failed_call() -> None:
    with pytest.raises(CallFailed) as failed:
        first_token({"choices": []})
    assert failed.value.reason == "no_logprobs"


def careless(prompt: str, sampling: Sampling) -> str:
    """Answers every other workbench instruction wrongly at first; its refinement is right."""
    asked = prompt.split("<|user|>\n")[-1].split("\n")[0]
    right = answer(task_for(asked))
    wrong = "no idea" if len(asked) % 2 else right
    if prompt.endswith(FEEDBACK):
        return feedback(10 if wrong == right else 3)
    return right if REFINEMENT in prompt else wrong


def test_one_systems_answers_are_the_reference_of_another_under_the_exact_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    drawn = ["--split", "test", "--count", "40", "--seed", "3", "--output", str(prompts)]
    assert tasks.main([*drawn, "--labelled"]) == 0
    with answering(ScriptedEngine(reply=careless)) as server:
        for name in ("direct", "refine"):
            arguments = ["answer", "--instructions", str(prompts), "--url", server.v1]
            more = ["--model", f"scripted:{name}", "--out", str(tmp_path / name)]
            assert winrate.main([*arguments, *more]) == 0
    reference = tmp_path / "direct" / "answers.json"
    directory = tmp_path / "refine"
    with serving(build_app(OfWorkbench())) as exact:
        arguments = ["judge", "--reference", str(reference), "--url", exact.v1, "--model", "exact"]
        assert winrate.main([*arguments, "--out", str(directory)]) == 0
    outcome = result(directory)["figures"]["refine"]
    answers = read_answers(reference)
    mended = sum(each.output == "no idea" for each in answers)
    assert 0 < mended < len(answers) == 40
    assert (outcome["wins"], outcome["ties"], outcome["losses"]) == (mended, 40 - mended, 0)
    assert outcome["length_controlled_win_rate"] is None
    assert "No LC rate of refine: 40 instructions are not AlpacaEval's" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "asked", "dataset"),
    [
        ({"prompt": "Sing.", "answers": ["La"], "group": "songs"}, "Sing.", "songs"),
        ({"instruction": "Sing.", "output": "La", "dataset": "koala"}, "Sing.", "koala"),
    ],
)
def test_instructions_are_read_without_their_answers(
    tmp_path: Path, line: dict[str, Any], asked: str, dataset: str
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(line) + "\n")
    assert read_instructions(path) == [SystemAnswer(asked, "", dataset)]
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"instruction": "Sing.", "output": "La", "generator": "g"}]))
    assert read_instructions(path) == [SystemAnswer("Sing.", "")]
