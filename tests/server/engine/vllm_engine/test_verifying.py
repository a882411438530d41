"""Speculating from the draft: on the shipped model, after the engine has died, and the
distribution that guesses are verified by.
Spans: server/engine/vllm_engine, models"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.server.engine.base import Completion, Message, Sampling, Tokens
from tests.support import speculating
from tests.support.speculating import (
    GREEDY,
    NAME,
    answers,
    counted,
    format_of,
    most_chi_square,
    pair_of,
)
from tests.support.tiny_engine import Running, engine_processes, running_engine

pytestmark = pytest.mark.vllm


def test_an_engine_that_is_back_speculates_again(tmp_path: Path) -> None:
    model = speculating.phased(tmp_path)
    known = format_of(model)
    already = engine_processes()
    with running_engine(model, served_name=NAME, speculates=True, dtype="float32") as running:
        (process,) = engine_processes() - already
        process.kill()
        assert running.heard("is back")
        draft = running.run(running.engine.encode(" ".join(f"a{n}a" for n in range(40))))
        prompt = known.refinement_prompt((3, 4), draft, draft[:3])
        answers(running, [(Tokens(prompt), replace(GREEDY, max_tokens=40))], [draft])
        assert counted(running)[1] > 20


def test_the_shipped_model_says_the_same(root: Path) -> None:
    from redraft.train.workbench.tasks import sample

    directory = root / "models" / "redraft-workbench"
    known = format_of(directory)
    sampling = Sampling(temperature=0.0, max_tokens=300, stop_token_ids=known.stop_token_ids())

    def phases(running: Running) -> list[list[Completion]]:
        asked = [(Message("user", task.instruction),) for task in sample("test", None, 10, seed=3)]
        chats = [running.run(running.engine.encode_chat(messages)) for messages in asked]
        written = [answers(running, [(Tokens(chat), sampling) for chat in chats])]
        reading = [
            known.feedback_prompt(chat, draft.token_ids)
            for chat, draft in zip(chats, written[0], strict=True)
        ]
        written.append(answers(running, [(Tokens(ids), sampling) for ids in reading]))
        reading = [
            (*ids, *said.token_ids, *known.refinement.ids)
            for ids, said in zip(reading, written[1], strict=True)
        ]
        # Refinements in the company of other drafts and feedback.
        mixed = [*reading, *chats, *(ids[:-1] for ids in reading[:5])]
        drafts = [draft.token_ids for draft in written[0]]
        written.append(answers(running, [(Tokens(ids), sampling) for ids in mixed], drafts))
        return written

    with pair_of(directory) as both:
        plain = [[one.token_ids for one in phase] for phase in phases(both.plain)]
        before = counted(both.speculating)
        told = [[one.token_ids for one in phase] for phase in phases(both.speculating)]
        assert counted(both.speculating)[1] > before[1]
    assert told == plain


def test_guesses_are_verified_by_the_distribution_of_each_request(root: Path) -> None:
    """In a process of its own: vLLM's kernels are replaced for good where there is no triton."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.verifying"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(ran.stdout.splitlines()[-1])
    assert rows["leftover"] == 0  # after a guess that was wrong there is no other token
    assert rows["greedy"]["drawn"][rows["best"]] == sum(rows["greedy"]["drawn"])
    for kind in ("cold", "hot", "top_k", "top_p"):
        assert_drawn_from(**rows[kind])


def assert_drawn_from(drawn: list[int], expected: list[float]) -> None:
    """A chi-square test; the seed is fixed, and so is what is drawn."""
    total, statistic = sum(drawn), 0.0
    for times, chance in zip(drawn, expected, strict=True):
        if chance == 0:
            assert times == 0
        else:
            statistic += (times - total * chance) ** 2 / (total * chance)
    assert statistic < most_chi_square(sum(chance > 0 for chance in expected) - 1)
