"""Latency: loads repeat with their seed, times count from when a request was due, systems take
turns, and every system answers through a real socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")
pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks import latency
from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.load.endpoint import CallFailed, Endpoint
from redraft.benchmarks.load.systems import SYSTEMS, ClientChat, ClientLoop, message
from redraft.benchmarks.load.timing import Batch, Load, LoadCell, Timing, goodput, ratio, summarise
from redraft.benchmarks.load.workload import arrivals, prompts
from redraft.benchmarks.output.latency_report import CellBatches, against
from redraft.benchmarks.phased_model import AFTER, ASSISTANT, FEEDBACK, REFINEMENT, successors
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.srt_format import parse_feedback
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Served, answering

number = itertools.count()


def reply(prompt: str, sampling: Sampling) -> str:
    """No two responses alike: a repeated one would end the loop."""
    feedback_asked = prompt.endswith(f"<|{FORMAT.feedback.ids[0]}|>")
    return feedback(3) if feedback_asked else f"answer {next(number)} of five words"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with answering(ScriptedEngine(reply=reply)) as server:
        yield server


def answer(
    served: Served, system: str, iterations: int, phase_tokens: int = 50, model: str = "scripted"
) -> Timing:
    async def asked() -> Timing:
        async with Endpoint(served.v1, model).session() as session:
            chosen = SYSTEMS[system](session, Load(phase_tokens))
            return await chosen.answer("Name a fish", iterations, time.perf_counter())

    return asyncio.run(asked())


def timing(answer_s: float, total_s: float, tokens: int = 10) -> Timing:
    return Timing(0.1, answer_s, total_s, tokens)


def test_prompts_have_their_length_and_repeat_with_their_seed() -> None:
    first = list(islice(prompts(50, seed=1), 500))
    assert first == list(islice(prompts(50, seed=1), 500))
    assert {len(prompt.split()) for prompt in first} == {50}
    assert len({tuple(prompt.split()[:8]) for prompt in first}) == 500
    assert first != list(islice(prompts(50, seed=2), 500))


def test_arrivals_come_at_their_rate_in_order_and_repeat_with_their_seed() -> None:
    times = arrivals(rate=20, seconds=100, seed=3)
    assert times == sorted(times) == arrivals(rate=20, seconds=100, seed=3)
    assert 1800 < len(times) < 2200
    assert times[-1] < 100


def test_redraft_tells_its_phases_and_answers_after_them(served: Served) -> None:
    result = answer(served, "redraft", iterations=2)
    assert set(result.phases) == {"draft", "feedback", "refinement"}
    assert 0 < result.first_token_s <= result.first_answer_s <= result.total_s
    assert answer(served, "redraft", iterations=0).phases.keys() == {"draft"}
    assert result.tokens > answer(served, "redraft", iterations=1).tokens


@pytest.mark.parametrize("system", ["client-loop", "client-chat"])
def test_a_client_side_loop_makes_a_call_for_each_phase(served: Served, system: str) -> None:
    before = next(number)
    result = answer(served, system, iterations=2, model="scripted:direct")
    assert next(number) - before - 1 == 5
    assert result.tokens == 5 * 50
    assert result.first_token_s < result.first_answer_s
    assert set(result.phases) == {"draft", "feedback", "refinement"}


def test_drafts_are_combined_in_one_request(served: Served) -> None:
    before = next(number)
    result = answer(served, "candidates", iterations=1)
    assert next(number) - before - 1 == 4
    assert result.phases.keys() == {"draft", "refinement"}
    assert 0 < result.first_token_s <= result.first_answer_s <= result.total_s


def test_a_fusion_loop_generates_as_much_and_shows_its_answer_alone(served: Served) -> None:
    before = next(number)
    result = answer(served, "fusion", iterations=1, model="scripted:direct")
    assert next(number) - before - 1 == 4
    assert result.tokens == 4 * 50
    assert result.first_token_s == result.first_answer_s > result.phases["draft"]


def test_a_fusion_loop_is_compared_with_combined_drafts() -> None:
    cell = LoadCell(10, 1, 1)
    seconds = {"redraft": 1.0, "candidates": 2.0, "fusion": 6.0, "floor": 3.0}
    measured = [
        CellBatches(cell, name, [one], summarise([one]))
        for name, s in seconds.items()
        for one in [Batch(name, cell.name, 0, s, (Timing(s, s, s, 10),))]
    ]
    ratios = against(measured)
    assert ratios.keys() == {"fusion", "floor"}
    assert ratios["fusion"]["their_answer"].estimate == 3.0
    assert ratios["floor"]["their_first_token"].estimate == 3.0


def test_one_chat_goes_on_from_what_was_sent_and_own_prompts_begin_anew() -> None:
    draft = [message("user", "Name a fish")]
    feedback = ClientChat.feedback("Name a fish", "Eel")
    assert feedback[:2] == [*draft, message("assistant", "Eel")]
    assert ClientChat.refinement("Name a fish", "Eel", "Good")[:3] == feedback
    (asked,) = ClientLoop.feedback("Name a fish", "Eel")
    assert "Name a fish" in asked["content"]
    assert "Eel" in asked["content"]
    refinement = ClientLoop.refinement("Name a fish", "Eel", "Good")
    assert refinement[:2] == feedback[:2]
    assert "Good" in refinement[2]["content"]


def test_a_loop_that_ends_early_is_a_failure_not_a_fast_answer() -> None:
    unreadable = ScriptedEngine(reply=lambda prompt, sampling: "no feedback at all")
    with answering(unreadable) as served, pytest.raises(CallFailed, match="malformed_feedback"):
        answer(served, "redraft", iterations=2)


def test_the_floor_is_one_generation_of_as_many_tokens(served: Served) -> None:
    assert answer(served, "floor", iterations=2, phase_tokens=50).tokens == 5 * 50


def test_a_floor_with_fewer_tokens_than_asked_is_a_failure() -> None:
    no_end = ScriptedEngine(reply=reply, window=40)  # the window ends it
    with answering(no_end) as small, pytest.raises(CallFailed, match="http_400"):
        answer(small, "floor", iterations=1, phase_tokens=50)


def test_requests_are_timed_from_when_they_were_due(served: Served) -> None:
    """Three at once through one place: the closed loop has no one waiting, the open loop does."""

    async def batches() -> tuple[Batch, Batch]:
        async with Endpoint(served.v1, "scripted").session() as session:
            system = SYSTEMS["redraft"](session, Load(50))
            closed = LoadCell(10, 0, concurrency=1)
            opened = LoadCell(10, 0, rate=5.0)
            asked = ["a", "b", "c"]
            late = [0.2, 0.25, 0.3]
            return (
                await latency.batch(system, closed, asked, 0, [0.0] * 3),
                await latency.batch(system, opened, asked, 0, late),
            )

    closed, opened = asyncio.run(batches())
    assert sum(timing.total_s for timing in closed.timings) <= closed.seconds
    assert opened.seconds > 0.3
    assert len(opened.timings) == 3


def test_a_repeat_goes_through_all_cells_and_in_each_another_system_is_first(
    served: Served,
) -> None:
    load, cells = Load(50), [LoadCell(50, 0, 1), LoadCell(50, 1, 1)]

    async def result() -> list[tuple[int, int, str]]:
        async with Endpoint(served.v1, "scripted").session() as session:
            systems = [SYSTEMS[name](session, load) for name in ("redraft", "floor", "optillm")]
            turns = latency.turns(2, cells, systems)
            return [(repeat, cell.iterations, system.name) for repeat, cell, system in turns]

    direct, refined = ["redraft", "floor"], ["redraft", "floor", "optillm"]
    assert asyncio.run(result()) == [
        *((0, 0, name) for name in direct),
        *((0, 1, name) for name in refined),
        *((1, 0, name) for name in direct[1:] + direct[:1]),
        *((1, 1, name) for name in refined[1:] + refined[:1]),
    ]


def test_late_answers_are_worth_nothing() -> None:
    timings = (timing(0.5, 1.0), timing(0.5, 9.0), timing(3.0, 3.5))
    result = Batch("redraft", "cell", 0, seconds=2.0, timings=timings)
    assert goodput(result, answer_within_s=1.0, total_within_s=5.0) == 0.5


def test_ratios_are_formed_repeat_by_repeat() -> None:
    # A machine that becomes ten times slower after the first repeat changes no ratio.
    result = ratio([2.0, 20.0, 21.0], [1.0, 10.0, 10.0])
    assert (result.estimate, result.low, result.high) == (2.0, 2.0, 2.1)


def test_a_summary_holds_every_request_and_every_failure() -> None:
    asked = (timing(1, 2), timing(2, 3))
    first = Batch("redraft", "cell", 0, 2.0, asked, {"timeout": 1}, cpu_s=2.0, server_cpu_s=0.5)
    second = Batch("redraft", "cell", 1, 1.0, (timing(3, 4),))
    result = summarise([first, second])
    assert (result.answered, result.failed) == (3, 1)
    assert result.first_answer_s.estimate == 2
    assert result.tokens_per_s.estimate == 10
    assert result.cpu_per_token_s.estimate == 0.1  # the second was not measured
    assert result.server_cpu_per_token_s.estimate == 0.025
    assert Batch.of(json.loads(json.dumps(first.json()))) == first


@pytest.mark.slow
def test_a_run_measures_every_cell_and_keeps_every_sample(served: Served, tmp_path: Path) -> None:
    urls = [f"--url={system}={served.v1}" for system in ("redraft", "client-loop")]
    cells = ["--prompt-tokens", "10", "--iterations", "0", "1", "--concurrency", "1", "2"]
    arguments = ["--requests", "3", "--repeats", "2", "--served-name", "scripted"]
    rates = ["--rates", "20", "--seconds", "0.5", "--out", str(tmp_path)]
    assert latency.main([*urls, *cells, *arguments, *rates]) == 0
    result = json.loads((tmp_path / "latency.json").read_text())
    assert len(result["figures"]) == 6  # two iterations by two concurrencies and a rate
    assert all(set(cell["ratios"]) == {"client-loop"} for cell in result["figures"].values())
    lines = (tmp_path / "latency.samples.jsonl").read_text().splitlines()
    samples = [json.loads(line) for line in lines]
    closed = [sample for sample in samples if " x" in sample["cell"]]
    assert len(closed) == 2 * 4 * 2 * 3  # systems, cells, repeats, requests
    assert all((tmp_path / plot).is_file() for plot in result["plots"])


def test_a_run_that_was_stopped_measures_only_what_is_missing(
    served: Served, tmp_path: Path
) -> None:
    arguments = [f"--url=redraft={served.v1}", "--served-name", "scripted", "--out", str(tmp_path)]
    cell = ["--prompt-tokens", "10", "--iterations", "0", "--requests", "2", "--repeats", "2"]
    assert latency.main([*arguments, *cell, "--concurrency", "1"]) == 0
    ledger = (tmp_path / "batches.jsonl").read_text()
    assert latency.main([*arguments, *cell, "--concurrency", "1", "2"]) == 0
    grown = (tmp_path / "batches.jsonl").read_text()
    assert grown.startswith(ledger)
    assert len(grown.splitlines()) == 4


def test_a_run_with_failures_ends_with_them_and_says_so(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--url", f"floor={served.v1}", "--served-name", "scripted", "--repeats", "1"]
    cell = ["--prompt-tokens", "10", "--iterations", "1", "--concurrency", "1"]
    cell += ["--phase-tokens", "2000"]  # more than the window holds
    assert latency.main([*arguments, *cell, "--requests", "2", "--out", str(tmp_path)]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["failures"] == {"floor: http_400": 2}


def test_a_server_that_does_not_start_is_one_line_that_names_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = ["--model", str(tmp_path / "none"), "--out", str(tmp_path), "--systems", "redraft"]
    assert bench(["latency", *nothing]) == 1
    message = capsys.readouterr().err
    assert message.startswith("redraft bench latency: redraft ended with status 2; ")
    assert str(tmp_path / "logs" / "redraft.log") in message


def test_a_phased_model_says_as_much_in_every_phase_and_feedback_that_can_be_read() -> None:
    follows = successors(phase_tokens=20)
    for start in (ASSISTANT, FEEDBACK, REFINEMENT):
        words = []
        word = start
        while (word := follows[word][-1]) != AFTER[start]:
            words.append(word)
        assert len(words) == 20
        if start == FEEDBACK:
            read = parse_feedback(
                " ".join(words).replace(" Sugg", "\nSugg").replace(" Over", "\nOver")
            )
            assert read.complete
            assert read.score == 5
    # Two words to choose from at nearly every step: no refinement repeats the draft.
    assert sum(len(follows[f"r{step}a"]) for step in range(19)) == 38


def test_too_few_tokens_for_feedback_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for feedback"):
        successors(phase_tokens=5)
