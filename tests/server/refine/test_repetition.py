"""A text that repeats one passage again and again is ended; a text that only looks so is not."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.policy import Policy
from redraft.server.refine.repetition import Repetition
from tests.support.loops import feedback, gather, run, trace_of

WORDS = [f"word{n}" for n in range(400)]
SENTENCE = "The sea is blue and the sky is blue and the boat is small. "
ENDLESS = SENTENCE * 60


def prose(words: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + " "


def ended_at(text: str, size: int = 5) -> int | None:
    """How many characters were read when the text was found to repeat itself."""
    repetition = Repetition()
    for start in range(0, len(text), size):
        if repetition.add(text[start : start + size]):
            return start + size
    return None


@pytest.mark.parametrize("passage", ["a", "\n", "0, ", "no comma, ", SENTENCE, prose(50)[:390]])
@pytest.mark.parametrize("size", [1, 5, 40, 5000])
def test_a_passage_again_and_again_ends_the_text(passage: str, size: int) -> None:
    at = ended_at(prose(100) + passage * (8000 // len(passage)), size)
    assert at is not None
    assert at <= len(prose(100)) + 4 * max(len(passage), 100) + 64 + 40 + size


@pytest.mark.parametrize(
    "text",
    [
        prose(3000),
        SENTENCE * 3 + prose(100),
        "".join(f"{n}. {SENTENCE}\n" for n in range(200)),
        "".join(f"| {n} | {n * n} |\n" for n in range(300)),
        "-" * 300 + prose(50),
        "\n\n".join([prose(20, 1), prose(60, 2), prose(20, 1), prose(60, 3), prose(20, 1)]),
    ],
    ids=["prose", "three times", "a list", "a table", "a rule", "a refrain"],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert ended_at(text) is None


def test_watching_takes_no_longer_for_a_token_of_a_long_text() -> None:
    def seconds(pieces: list[str]) -> float:
        repetition = Repetition()
        started = time.process_time()
        for piece in pieces:
            repetition.add(piece)
        return time.process_time() - started

    # Nearly a repetition everywhere, so that each look is as long as it can be.
    near = [f"{SENTENCE}{n % 7}" for n in range(40_000)]
    short, long = near[:4_000], near
    assert min(seconds(long) for _ in range(3)) < 40 * min(seconds(short) for _ in range(3)) + 0.05


# -- in the loop ------------------------------------------------------------------------------


def test_a_draft_that_repeats_itself_is_cut_and_refined() -> None:
    engine = ScriptedEngine(ENDLESS, feedback(3), "Short.")
    trace = trace_of(run(gather(engine, Policy())))
    assert trace.answer.text == "Short."
    assert trace.draft.finish_reason == "length"
    assert len(trace.draft.text) < 600
    assert trace.repeated == 1
    assert trace.totals["draft"].repeated == 1
    usage = trace.totals["draft"].usage
    assert (usage.calls, usage.completion_tokens) == (1, len(trace.draft.token_ids))
    assert usage.prompt_tokens > 0


def test_a_refinement_that_repeats_itself_loses_to_the_draft() -> None:
    for style in ("srt", "prompted"):
        engine = ScriptedEngine("Fine.", feedback(3), ENDLESS)
        trace = trace_of(run(gather(engine, Policy(), style=style)))
        assert (trace.answer.text, trace.repeated) == ("Fine.", 1)
        usage = trace.totals["refinement"].usage
        assert usage.prompt_tokens > usage.cached_tokens > 0
        assert engine.running == 0


@pytest.mark.parametrize(
    "policy",
    [
        Policy(end_repetition=False),
        Policy(max_iterations=0),
        Policy(draft=Sampling(ignore_eos=True, max_tokens=600)),
    ],
    ids=["switched off", "without refinement", "an exact number of tokens"],
)
def test_it_is_written_to_its_end_where_that_is_asked_for(policy: Policy) -> None:
    engine = ScriptedEngine(*itertools.repeat(ENDLESS, 3), window=20_000)
    trace = trace_of(run(gather(engine, policy)))
    assert len(trace.draft.text) > 2500
    assert trace.totals["draft"].repeated == 0
