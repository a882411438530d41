"""The exact critic of instructions whose constraints programs verify, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from redraft.server.options import ConfigError
from redraft.server.refine.requests import FEEDBACK_REQUEST, asking_for_feedback
from redraft.server.refine.srt_format import parse_feedback
from redraft.train.critics import TABLE_1
from redraft.train.exact.app import build_app
from redraft.train.exact.examiner import Noise
from redraft.train.exact.of_constraints import OfConstraints
from redraft.train.workbench.tasks import UnknownInstruction
from tests.support.serving import Served, serving

ASKED = "Describe the sea.\n\nUse no commas. Write at least 3 words."
CHECKS = [{"kind": "without", "characters": ","}, {"kind": "words", "at_least": 3}]
GOOD, BAD = "It is wide.", "Wide, deep"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "constraints.jsonl"
    rows = [
        {"instruction": ASKED, "meta": {"checks": CHECKS}},
        {"instruction": "Sing.", "meta": {"checks": []}},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def asked(server: Served, request: str) -> httpx.Response:
    """The reply to one of the critic's requests about the bad response."""
    message = {"role": "user", "content": asking_for_feedback(request, ASKED, BAD)}
    return httpx.post(f"{server.v1}/chat/completions", json={"messages": [message]})


def test_its_critic_and_judge_know_what_the_checks_find(path: Path) -> None:
    with serving(build_app(OfConstraints.read(path, Noise()))) as server:
        reply = asked(server, FEEDBACK_REQUEST)
        judged = [
            httpx.post(f"{server.v1}/judge", json={"prompt": ASKED, "response": text}).json()
            for text in (GOOD, BAD)
        ]
    text = reply.json()["choices"][0]["message"]["content"]
    assert parse_feedback(text).score < 10
    assert text.count("Not met.") == 2
    assert [judgement["right"] for judgement in judged] == [True, False]
    assert [len(judgement["problems"]) for judgement in judged] == [0, 2]


def test_a_wrong_verdict_turns_one_constraint_around(path: Path) -> None:
    examiner = OfConstraints.read(path, Noise(1.0))
    praised, blamed = (examiner.opinion(ASKED, text).feedback for text in (BAD, GOOD))
    assert parse_feedback(praised).score == 10
    assert "Not met." not in praised
    assert parse_feedback(blamed).score < 10
    assert blamed.count("Not met.") == 2
    assert "comma" in blamed.partition("Suggestions:")[2]
    assert examiner.judged(ASKED, GOOD).right


def test_verdicts_that_are_wrong_with_little_noise_are_wrong_with_more(path: Path) -> None:
    texts = [f"Word number {number}." for number in range(200)]

    def wrong(noise: Noise) -> set[str]:
        examiner = OfConstraints.read(path, noise)
        return {text for text in texts if "Not met." in examiner.opinion(ASKED, text).feedback}

    assert wrong(Noise()) == set()
    some = wrong(Noise(0.2, seed=1))
    assert 40 < len(some) < 105  # one verdict of two, at 0.2 each: 72 of 200
    assert some < wrong(Noise(0.5, seed=1))
    assert wrong(Noise(0.2, seed=2)) != some


def test_where_nothing_is_asked_there_is_nothing_to_mend(path: Path) -> None:
    feedback = OfConstraints.read(path, Noise(1.0)).opinion("Sing.", "La.").feedback
    assert parse_feedback(feedback).score == 10


def test_an_instruction_it_does_not_know_is_a_400_and_so_is_a_refinement(path: Path) -> None:
    examiner = OfConstraints.read(path, Noise())
    with pytest.raises(UnknownInstruction, match="none of the 2 instructions"):
        examiner.judged("Dance.", "No.")
    with serving(build_app(examiner)) as server:
        reply = asked(server, TABLE_1)
    assert reply.status_code == 400
    assert "a refinement, which this critic does not write" in reply.text


def test_a_file_without_checks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_text('{"instruction": "Sing."}\n')
    with pytest.raises(ConfigError, match=r"plain\.jsonl: the instruction has no meta\.checks"):
        OfConstraints.read(path, Noise())
