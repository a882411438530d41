"""Every way of answering on a model whose every answer is known: its drafts shout, some of those
that are sampled do not, and its refinements are quiet. The figures must follow from that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.card import KEPT
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Served, answering

FEEDBACK, REFINEMENT = (f"<|{m.ids[0]}|>" for m in (FORMAT.feedback, FORMAT.refinement))
TOPICS = ("Rain", "Snow", "Fog", "Hail")
PROMPTS = [
    {"prompt": f"{topic} in lower case", "meta": {"checks": [{"kind": "lowercase"}]}}
    for topic in TOPICS
]


def quietens(prompt: str, sampling: Sampling) -> str:
    """A greedy draft is loud, a sampled one quiet with an odd seed. It scores what it sees."""
    if prompt.endswith(FEEDBACK):
        return feedback(10 if "quiet" in prompt.removesuffix(FEEDBACK) else 2)
    if REFINEMENT in prompt:
        return "quiet at last"
    return "quiet" if (sampling.seed or 0) % 2 else "LOUD"


def quiet_then_loud(prompt: str, sampling: Sampling) -> str:
    """The first refinement is right, the second spoils it."""
    if prompt.endswith(FEEDBACK):
        return feedback(2)
    if REFINEMENT in prompt:
        return "LOUDER" if "quiet" in prompt else "quiet"
    return "LOUD"


@contextmanager
def serving(
    reply: Callable[[str, Sampling], str] = quietens, **critics: Any
) -> Iterator[tuple[Served, ScriptedEngine]]:
    engine = ScriptedEngine(reply=reply)
    others = {name: srt_model(ScriptedEngine(reply=of)) for name, of in critics.items()}
    with answering(engine, Service(srt_model(engine), others)) as server:
        yield server, engine


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    path = tmp_path / "quiet.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PROMPTS))
    return path


def run(out: Path, *arguments: str) -> dict[str, Any]:
    more = ["--model", "scripted", "--retries", "0", "--out", str(out)]
    assert bench(["experiments", "ways", *more, *arguments]) == 0
    result: dict[str, Any] = json.loads((out / "ways.json").read_text())
    return result


def met(result: dict[str, Any], grader: str = "Redraft's checks") -> dict[str, float]:
    return {
        name: each["met"]["prompt strict"]["estimate"]
        for name, each in result["figures"]["ways"][grader].items()
    }


def test_one_table_has_every_way_over_the_same_prompts(quiet: Path, tmp_path: Path) -> None:
    ways = ("itself", "checks", "best", "off", "votes")
    with serving() as (server, _):
        result = run(tmp_path, "--url", server.v1, "--data", str(quiet), "--ways", *ways)
    found = met(result)
    refined = [f"{way} {k}" for way in ("itself", "checks") for k in (1, 2, 3)]
    best = [f"best of {k}" for k in range(1, 9)]
    assert set(found) == {"direct", *refined, *best, "vote of 4", "vote of 8", "off", "votes 3"}
    assert found["direct"] == 0
    assert {found[name] for name in (*refined, "off", "votes 3")} == {100}
    assert found["best of 1"] <= found["best of 2"] <= found["best of 8"]
    gain = result["figures"]["ways"]["Redraft's checks"]["off"]["gain_on_direct"]
    assert gain["prompt strict"]["estimate"] == 100
    names = [row[0] for row in result["tables"][0]["rows"]]
    assert [name for name in names if name.startswith("best")] == [
        f"best of {number}" for number in (1, 2, 4, 8)
    ]


def test_one_request_gives_all_iterations_and_one_all_numbers_of_drafts(
    quiet: Path, tmp_path: Path
) -> None:
    arguments = ("--data", str(quiet), "--ways", "direct", "itself", "best")
    with serving(quiet_then_loud) as (server, engine):
        result = run(tmp_path, "--url", server.v1, *arguments)
        asked = len(engine.history)
    drafts = [call for call in (tmp_path / "replies.jsonl").read_text().splitlines() if call]
    assert len(drafts) == 2 * len(PROMPTS)
    # A greedy draft with two refinements and their feedback, the second of which repeats a text or
    # is as loud; then eight drafts with a score each.
    assert asked == len(PROMPTS) * (1 + 2 * 3 + 2 * 8)
    found = met(result)
    assert [found[f"itself {k}"] for k in (1, 2)] == [100, 0]
    spoiled = result["figures"]["iterations"]["Redraft's checks"]["itself 2 - itself 1"]
    assert spoiled["ahead"]["estimate"] == -100
    assert spoiled["flipped"]["right_to_wrong"] == len(PROMPTS)


def test_loops_of_another_run_are_taken_up_where_they_ended(quiet: Path, tmp_path: Path) -> None:
    once, whole, after = (tmp_path / name for name in ("once", "whole", "after"))
    data = ("--data", str(quiet))
    with serving(quiet_then_loud) as (server, engine):
        url = ("--url", server.v1, *data)
        more = ["--model", "scripted", "--iterations", "1", "--out", str(once)]
        assert bench(["ifeval", *url, *more]) == 0
        at_once = run(whole, *url, "--ways", "itself", "off")
        before = len(engine.history)
        begun = ("--begun", str(once / "replies.jsonl"))
        taken_up = run(after, *url, "--ways", "itself", "off", *begun)
        asked = len(engine.history) - before
    assert taken_up["figures"] == at_once["figures"]
    # Feedback and refinement twice; one refinement of the draft.
    assert asked == len(PROMPTS) * (2 * 2 + 1)
    kept = (after / "replies.jsonl").read_text().splitlines()
    assert {json.loads(line)["reply"]["taken_up_after"] for line in kept} == {0, 1}


def test_a_loop_that_ended_by_itself_is_not_taken_up(quiet: Path, tmp_path: Path) -> None:
    once = tmp_path / "once"
    with serving(lambda prompt, _: feedback(10) if prompt.endswith(FEEDBACK) else "quiet") as (
        server,
        engine,
    ):
        url = ("--url", server.v1, "--data", str(quiet))
        gated = ["--refine", '{"good_enough": 5}', "--iterations", "1", "--out", str(once)]
        assert bench(["ifeval", *url, "--model", "scripted", *gated]) == 0
        before = len(engine.history)
        kept = tmp_path / "kept.jsonl"  # as a card keeps them
        with (once / "replies.jsonl").open() as replies:
            rows = [json.loads(line) for line in replies]
        for row in rows:
            row["reply"] = {key: row["reply"][key] for key in KEPT}
        kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = run(tmp_path / "after", *url, "--ways", "itself", "--begun", str(kept))
        assert len(engine.history) == before
    assert met(result)["itself 3"] == 100


def test_with_checks_the_response_that_passes_most_is_the_answer_of_every_iteration(
    quiet: Path, tmp_path: Path
) -> None:
    with serving(quiet_then_loud) as (server, _):
        result = run(tmp_path, "--url", server.v1, "--data", str(quiet), "--ways", "checks")
    assert met(result) == {"direct": 0, "checks 1": 100, "checks 2": 100, "checks 3": 100}


def test_candidates_are_drafts_read_together(quiet: Path, tmp_path: Path) -> None:
    ways = ("best", "candidates-2", "candidates-4")
    with serving() as (server, _):
        result = run(tmp_path, "--url", server.v1, "--data", str(quiet), "--ways", *ways)
    found = met(result)
    # No greedy way is among them, so the direct answer is asked for.
    assert (found["direct"], found["candidates 2"], found["candidates 4"]) == (0, 100, 100)
    tokens = {
        name: each["tokens"]["estimate"]
        for name, each in result["figures"]["ways"]["Redraft's checks"].items()
    }
    assert tokens["candidates 2"] < tokens["candidates 4"]


def test_equal_tokens_are_the_fewest_drafts_that_cost_as_much(quiet: Path, tmp_path: Path) -> None:
    with serving() as (server, _):
        arguments = ("--url", server.v1, "--data", str(quiet), "--ways", "itself", "off", "best")
        result = run(tmp_path, *arguments)
    figures = result["figures"]
    tokens = {
        name: each["tokens"]["estimate"]
        for name, each in figures["ways"]["Redraft's checks"].items()
    }
    for pair in figures["equal_tokens"]["Redraft's checks"]:
        name, _, rival = pair.partition(" - ")
        kind = rival.rpartition(" ")[0]
        enough = [
            other for other in tokens if other.startswith(kind) and tokens[other] >= tokens[name]
        ]
        if enough:
            assert tokens[rival] == min(tokens[other] for other in enough)
    assert "off - best of 2" in figures["equal_tokens"]["Redraft's checks"]


def test_a_stopped_run_goes_on_and_replies_of_ifeval_count(quiet: Path, tmp_path: Path) -> None:
    asked = ("--data", str(quiet), "--max-tokens", "400")
    with serving() as (server, engine):
        ifeval = ["ifeval", "--url", server.v1, "--model", "scripted", *asked, "--iterations", "3"]
        assert bench([*ifeval, "--limit", "2", "--out", str(tmp_path / "ifeval")]) == 0
        before = len(engine.history)
        replies = str(tmp_path / "ifeval" / "replies.jsonl")
        ways = ("--url", server.v1, *asked, "--ways", "itself", "--replies", replies)
        whole = run(tmp_path / "out", *ways)
        assert len(engine.history) == 2 * before
        assert run(tmp_path / "out", *ways)["figures"] == whole["figures"]
        assert len(engine.history) == 2 * before
    assert whole["figures"]["answered"] == {"itself": len(PROMPTS)}


def test_recorded_replies_are_graded_again_without_a_server(quiet: Path, tmp_path: Path) -> None:
    arguments = ("--data", str(quiet), "--ways", "itself", "best")
    with serving() as (server, _):
        before = run(tmp_path / "out", "--url", server.v1, *arguments)
    replies = str(tmp_path / "out" / "replies.jsonl")
    again = run(tmp_path / "again", *arguments, "--recorded", "--replies", replies)
    assert again["figures"] == before["figures"]


def test_a_table_of_an_unfinished_run_has_the_prompts_that_all_ways_answered(
    quiet: Path, tmp_path: Path
) -> None:
    arguments = ("--data", str(quiet), "--ways")
    with serving() as (server, _):
        run(tmp_path, "--url", server.v1, *arguments, "itself")
        run(tmp_path, "--url", server.v1, *arguments, "off", "--limit", "3")
    result = run(tmp_path, *arguments, "itself", "off", "--recorded")
    assert result["figures"]["answered"] == {"itself": 4, "off": 3}
    assert result["figures"]["ways"]["Redraft's checks"]["off"]["met"]["prompt strict"]["n"] == 3
    assert result["tables"][0]["title"].startswith("quiet, 3 of 4 prompts")


def test_a_way_that_the_server_refuses_is_left_out_and_its_calls_have_failed(
    quiet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(quiet), "--model", "scripted", "--retries", "0"]
    arguments += ["--ways", "itself", "votes", "--out", str(tmp_path)]
    with answering(ScriptedEngine(reply=quietens), max_votes_cap=2) as server:
        assert bench(["experiments", "ways", "--url", server.v1, *arguments]) == 1
    result = json.loads((tmp_path / "ways.json").read_text())
    assert met(result) == {"direct": 0, "itself 1": 100, "itself 2": 100, "itself 3": 100}
    assert result["failures"] == {"http_400": len(PROMPTS)}
    assert "votes is left out" in capsys.readouterr().err


def test_the_same_prompts_are_drawn_by_the_same_seed(quiet: Path, tmp_path: Path) -> None:
    asked = ("--data", str(quiet), "--ways", "itself", "--sample", "2")
    kept = []
    with serving() as (server, _):
        for folder, seed in (("one", "1"), ("two", "1")):
            run(tmp_path / folder, "--url", server.v1, *asked, "--seed", seed)
            lines = (tmp_path / folder / "replies.jsonl").read_text().splitlines()
            kept.append({json.loads(line)["prompt"] for line in lines})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2


def test_labelled_prompts_have_a_critic_in_the_place_of_checks(tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.jsonl"
    rows = [{"prompt": topic, "answers": ["quiet at last"]} for topic in TOPICS]
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def strict(prompt: str, sampling: Sampling) -> str:
        return feedback(2)

    ways = ("--labelled", str(labelled), "--ways", "itself", "checks", "best", "votes")
    with serving(strict=strict) as (server, _):
        result = run(tmp_path, "--url", server.v1, *ways, "--critic", "strict")
    found = met(result, "judge")
    assert (found["direct"], found["itself 1"], found["checks 1"]) == (0, 100, 100)
    assert result["tables"][0]["columns"][:2] == ["way", "right %"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --url URL and --model NAME, or --workbench MODEL"),
        (("--recorded",), "give --url URL and --model NAME, or --workbench MODEL"),
        (("--url", "http://127.0.0.1:9/v1", "--model", "m", "--temperature", "0"), "--temperature"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert bench(["experiments", "ways", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_way_that_was_never_asked_leaves_no_table(
    quiet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "scripted", "--recorded", "--data", str(quiet), "--out", str(tmp_path)]
    assert bench(["experiments", "ways", *arguments, "--ways", "off"]) == 1
    assert "no prompt was answered in every way: {'off': 0}" in capsys.readouterr().err
