"""The exact critic and judge over HTTP: they answer what Redraft's server, trainer and benchmarks
ask, and are wrong exactly as often as they are told to be."""

from __future__ import annotations

import asyncio
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from redraft.server.engine.base import Chat, Message
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.asking import PromptedAsker
from redraft.server.refine.requests import asking_for_feedback
from redraft.server.refine.srt_format import parse_feedback, parse_score
from redraft.server.refine.trace import Feedback, Instruction, ResponseText
from redraft.server.service import Service
from redraft.train import critics
from redraft.train.exact.app import build_app
from redraft.train.exact.examiner import Noise
from redraft.train.exact.of_workbench import OfWorkbench, misread, opinion
from redraft.train.workbench import critic as exact_critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.families.family import steady_random
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import UnknownInstruction, answer, sample, task_for
from tests.support.asgi import srt_model
from tests.support.serving import Served, answering, serving

ASKED, RIGHT, WRONG = "Add 17, 25, 8.", "The total is 50.", "The total is 49."


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(build_app(OfWorkbench())) as server:
        yield server


CLIENT = httpx.Client(timeout=60, verify=False)  # one: making one costs more than asking


def post(served: Served, path: str, body: dict[str, Any]) -> httpx.Response:
    return CLIENT.post(f"{served.v1}/{path}", json=body)


def chat(served: Served, *messages: Message, **more: Any) -> dict[str, Any]:
    written = [{"role": m.role, "content": m.content} for m in messages]
    reply = post(served, "chat/completions", {"messages": written, **more})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def said(reply: dict[str, Any]) -> str:
    text: str = reply["choices"][0]["message"]["content"]
    return text


def asker(*messages: Message) -> PromptedAsker:
    given = messages or (Message("user", ASKED),)
    return PromptedAsker(ScriptedEngine(), Instruction(given))


def response(text: str) -> ResponseText:
    return ResponseText(text)


def test_a_response_is_judged(served: Served) -> None:
    found = post(served, "judge", {"prompt": ASKED, "response": WRONG}).json()
    assert found == {"right": False, "score": 6, "problems": ["The response says 49, wrong."]}
    found = post(served, "judge", {"prompt": ASKED, "response": RIGHT}).json()
    assert found == {"right": True, "score": 10, "problems": []}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("judge", {"prompt": "Sing.", "response": "La."}, "not an instruction of the workbench"),
        (
            "judge",
            {"prompt": "Which two of these numbers add up to 9: 1, 2?", "response": "1, 2"},
            "has no answer",
        ),
        ("judge", {"prompt": ASKED}, "response"),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": ASKED}]},
            "expected a request for feedback",
        ),
        ("chat/completions", {"messages": []}, "expected a request for feedback"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_was_expected(
    served: Served, path: str, body: dict[str, Any], told: str
) -> None:
    reply = post(served, path, body)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_an_unknown_address_is_refused_in_the_same_shape(served: Served) -> None:
    reply = post(served, "embeddings", {})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_servers_requests_get_exact_feedback_and_an_exact_refinement(
    served: Served, name: str
) -> None:
    for task in sample("test", name, 3, seed=1):
        for text in (answer(task), "no idea"):
            asking = asker(Message("user", task.instruction))
            ask = asyncio.run(asking.feedback(response(text)))
            assert isinstance(ask.prompt, Chat)
            feedback = said(chat(served, *ask.prompt.messages, stop=list(ask.stop)))
            assert feedback == exact_critic.feedback(task, text)
            given = Feedback(feedback)
            wanted = asyncio.run(asking.refinement(response(text), given))
            assert isinstance(wanted.prompt, Chat)
            better = said(chat(served, *wanted.prompt.messages))
            assert better == exact_critic.refinement(task, text)


def test_of_a_conversation_the_last_message_is_the_instruction(served: Served) -> None:
    messages = (Message("system", "Be brief."), Message("user", ASKED))
    ask = asyncio.run(asker(*messages).feedback(response(RIGHT)))
    assert isinstance(ask.prompt, Chat)
    assert parse_score(said(chat(served, *ask.prompt.messages))) == 10


def test_the_trainers_request_gets_both_in_one_completion(served: Served) -> None:
    asked = asking_for_feedback(critics.TABLE_1, ASKED, WRONG)
    feedback, better = critics.split(said(chat(served, Message("user", asked))))
    assert parse_feedback(feedback).score == 6
    assert better == RIGHT


def test_a_completion_that_is_too_long_is_cut_and_says_so(served: Served) -> None:
    asked = asking_for_feedback(critics.TABLE_1, ASKED, WRONG)
    reply = chat(served, Message("user", asked), max_tokens=3)
    assert len(said(reply).split()) == reply["usage"]["completion_tokens"] == 3
    assert reply["choices"][0]["finish_reason"] == "length"
    assert "Improved" not in said(chat(served, Message("user", asked), stop="\n\n### Improved"))


def comparison(first: str, second: str) -> Message:
    asked = pytest.importorskip("redraft.benchmarks.grading.judge").REQUEST.format(
        first="m", second="M", instruction=ASKED, first_output=first, second_output=second
    )
    return Message("user", asked)


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [(RIGHT, WRONG, 1.0), (WRONG, RIGHT, 0.0), (RIGHT, "50", 0.5), (WRONG, "The total is 9.", 1.0)],
)
def test_of_two_answers_the_one_with_the_higher_score_is_named(
    served: Served, first: str, second: str, share: float
) -> None:
    system = Message("system", "You compare.")
    reply = chat(served, system, comparison(first, second), max_tokens=1, logprobs=True)
    tokens = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    given = {each["token"]: math.exp(each["logprob"]) for each in tokens}
    assert given == pytest.approx({"m": share, "M": 1 - share})
    assert said(reply) == ("m" if share >= 0.5 else "M")


def test_redrafts_server_uses_it_as_a_critic_by_name() -> None:
    """Over its own engine for upstreams, which streams."""
    engine = ScriptedEngine(WRONG, RIGHT)

    async def connect(url: str) -> ServedModel:
        return ServedModel(await HttpEngine.connect(Upstream(url, name="exact")))

    with serving(build_app(OfWorkbench())) as critic:
        service = Service(srt_model(engine))
        with answering(engine, service) as server:
            known = server.call(connect(critic.v1))
            service.critics = {"exact": known}
            body = {"prompt": ASKED, "critic": "exact", "max_iterations": 2, "good_enough": 10}
            reply = post(server, "refine", body | {"trace": True}).json()
            server.call(known.engine.close())
    scores = [each["feedback"]["score"] for each in reply["trace"]["iterations"]]
    assert (reply["answer"], reply["stop_reason"], scores) == (RIGHT, "good_enough", [6, 10])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_wrong_verdict_is_whole_feedback_that_says_the_opposite(name: str) -> None:
    for task in sample("test", name, 25, seed=4):
        right = answer(task)
        told = opinion(task.instruction, right, Noise(1.0))
        parts = parse_feedback(told.feedback)
        assert parts.complete
        assert parts.score < 10
        assert "Keep it." not in told.feedback
        wrong = "no idea"
        told = opinion(task.instruction, wrong, Noise(1.0))
        assert (parse_score(told.feedback), told.refinement) == (10, wrong)


def test_a_misread_instruction_differs_in_one_place() -> None:
    task = task_for(ASKED)
    seen = misread(task, RIGHT, steady_random("one"))
    before, after = (each.slots["numbers"].split(", ") for each in (task, seen))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert not judge(seen, RIGHT).right


def test_the_share_of_wrong_verdicts_is_what_was_asked_for() -> None:
    tasks = sample("test", None, 400, seed=9)

    def wrong(noise: Noise) -> set[str]:
        return {
            task.instruction
            for task in tasks
            if parse_score(opinion(task.instruction, answer(task), noise).feedback) < 10
        }

    assert wrong(Noise()) == set()
    some = wrong(Noise(0.2, seed=1))
    assert 50 < len(some) < 110
    assert wrong(Noise(0.2, seed=1)) == some
    assert some < wrong(Noise(0.5, seed=1))
    assert wrong(Noise(0.2, seed=2)) != some


def test_noise_leaves_the_judge_exact() -> None:
    with serving(build_app(OfWorkbench(Noise(1.0)))) as noisy:
        assert post(noisy, "judge", {"prompt": ASKED, "response": RIGHT}).json()["right"]
        reply = chat(noisy, comparison(WRONG, RIGHT))
    assert said(reply) == "M"


def test_an_unknown_instruction_has_no_opinion() -> None:
    with pytest.raises(UnknownInstruction):
        opinion("Sing.", "La.", Noise(1.0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_it_listens_and_stops_when_told(
    root: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "redraft.train", "exact", "--port", "0"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            url = program.stdout.readline().removeprefix("exact: ").strip()
            assert CLIENT.get(f"{url}/models").json()["data"][0]["id"] == "exact"
        finally:
            program.send_signal(number)
            code = program.wait(180)
    assert code == 0


@pytest.mark.parametrize(
    ("given", "told"), [(["--noise", "1.5"], "expected a share"), (["--port", "PORT"], "--port")]
)
def test_options_that_cannot_be_used_are_one_line(root: Path, given: list[str], told: str) -> None:
    command = [sys.executable, "-m", "redraft.train", "exact", *given]
    with serving(build_app(OfWorkbench())) as other:
        command = [word.replace("PORT", str(other.port)) for word in command]
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ran.returncode == 2
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
