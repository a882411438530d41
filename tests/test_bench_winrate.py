"""The win rate from end to end, against a judge on a real socket: what fails is unjudged, what is
done is not done again, and the order of the answers favours nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from benchmarks import winrate
from benchmarks.endpoint import CallFailed
from benchmarks.judge import first_token, reference_first, share_of_first
from tests.evaldata import stored
from tests.judging import application
from tests.serving import Served, serving

MISBEHAVIOURS = {"broken": "http_500", "too long": "http_400", "no logprobs": "no_logprobs"}


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
    given = ["judge", "--url", served.v1, "--model", "judge", "--retries", "0"]
    files = ["--reference", str(directory / "reference.json"), "--out", str(directory)]
    return winrate.main([*given, *files, "--resamples", "0", *more])


def result(directory: Path, name: str = "winrate") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / f"{name}.json").read_text())
    return found


def last_line(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


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


def test_a_judge_that_fails_refuses_or_says_nothing_usable_leaves_answers_unjudged(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {f"fine {number}": "good" for number in range(10)}
    outputs |= {word: f"good but {word}" for word in (*MISBEHAVIOURS, "refusal")}
    write(tmp_path / "reference.json", dict.fromkeys([*outputs, "never answered"], "bad"))
    write(tmp_path / "answers.json", outputs)
    assert judge(served, tmp_path) == 1
    found = last_line(capsys.readouterr().out)
    assert found["failures"] == {
        **dict.fromkeys(MISBEHAVIOURS.values(), 1),
        "no_verdict": 1,
        "no_answer": 1,
    }
    figures = found["figures"][tmp_path.name]
    assert (figures["wins"], figures["losses"], figures["unjudged"]) == (10, 0, 5)
    assert judge(served, tmp_path, "--max-unjudged", "0.5") == 0


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
    given = ["answer", "--reference", reference, "--url", served.v1, "--model", "m"]
    options = ["--refine", '{"max_iterations": 2}', "--retries", "0", "--out", str(tmp_path)]
    assert winrate.main([*given, *options]) == 1
    assert last_line(capsys.readouterr().out)["failures"] == {"http_500": 1}
    assert app.state.bodies[-1]["refine"] == {"max_iterations": 2}
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert [a["output"] for a in answers] == ["good: name a fish", "good: name a bird"]
    asked = len(app.state.bodies)
    winrate.main([*given, *options])
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
    found = result(tmp_path, "compare")
    assert (found["figures"]["wins"], found["figures"]["ties"]) == (2, 1)
    assert found["figures"]["difference"]["estimate"] == pytest.approx(200 / 3, abs=1e-5)
    assert found["failures"] == {"in_one_only": 1}


def test_verify_tells_a_right_file_from_a_wrong_one(tmp_path: Path) -> None:
    file = stored("alpaca_eval/annotations_slim/phi-2.csv")
    published = stored("alpaca_eval/expected_dev.json")
    given = ["--published", str(published), "--out", str(tmp_path)]
    assert winrate.main(["verify", str(file), *given]) == 0
    changed = tmp_path / "phi-2.csv"
    changed.write_text(file.read_text().replace("1.0000", "1.9000", 3))
    assert winrate.main(["verify", str(changed), *given]) == 1


def test_stored_log_probabilities_of_a_real_judge_give_its_stored_preferences() -> None:
    for path in sorted(stored("alpaca_eval/judge_logprobs").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row["swapped"] is None:
                continue
            share = share_of_first([(token, logprob) for token, logprob in row["top_logprobs"]])
            preference = 1 + share if row["swapped"] else 2 - share
            assert preference == pytest.approx(row["preference"], abs=2e-6)


def test_a_reply_without_choices_is_a_failed_call() -> None:
    with pytest.raises(CallFailed) as failed:
        first_token({"choices": []})
    assert failed.value.reason == "no_logprobs"
