"""A soak tells answers that are lost from those that were asked for again, and wrong ones from
those a model also gives undisturbed; on a server whose answers are known.
Spans: benchmarks/load/soaking"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks.load import soaking
from redraft.benchmarks.load.soaking import Soaked, SoakLoad
from redraft.benchmarks.load.usage import Running
from tests.support import tiny_model
from tests.support.serving import serving

QUESTIONS = ("one", "two")
AT_REST = 2 * len(QUESTIONS)  # requests
LOAD = SoakLoad(
    model="model",
    questions=QUESTIONS,
    seconds=0.5,
    calm_s=0.0,
    kills_until_s=0.0,
    kills=0,
    concurrency=2,
    max_tokens=8,
    every_s=0.1,
)
# Number of the request -> status and text; and how one ends that an engine's death cut short.
Answer = Callable[[int], tuple[int, str] | tuple[int, str, str]]


def soaked(answer: Answer, load: SoakLoad = LOAD) -> Soaked:
    """A soak on a server that gives these answers."""
    number = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal number
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, text, *cut = answer(number)
        number += 1
        refine = {"refine": {"stop_reason": "engine_failure"}} if cut else {}
        ended: dict[str, str | None] = {"finish_reason": cut[0] if cut else None}
        if json.loads(body).get("stream") and status == 200:
            choice = {"delta": {"content": text}, **ended}
            events = [{"choices": [choice], **refine}] * (text != "")
            content = b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in events)
            content += b"data: [DONE]\n\n"
        else:
            choice = {"message": {"content": text}, **ended}
            content = json.dumps({"choices": [choice], **refine}).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content})

    with serving(app) as served:
        return asyncio.run(soaking.soak(load, Running(served.v1, (os.getpid(),))))


def test_the_same_answers_are_neither_lost_nor_wrong() -> None:
    result = soaked(lambda _: (200, "same"))
    assert set(result.answered) == {kind for kind, _ in soaking.KINDS}
    assert result.compared > 0
    assert (result.lost.total(), result.wrong, result.again.total()) == (0, [], 0)
    assert set(result.looks) == {"server"}


def test_an_answer_that_was_never_given_at_rest_is_wrong() -> None:
    result = soaked(lambda number: (200, "same" if number < AT_REST else "other"))
    assert len(result.wrong) == result.compared > 0
    assert result.wrong[0]["answer"] == "other"


def test_the_beginning_of_an_answer_is_right_only_in_a_stream_that_says_it_was_cut() -> None:
    def wrong_ones(text: str, reason: str) -> set[str]:
        result = soaked(lambda n: (200, "same") if n < AT_REST else (200, text, reason))
        assert result.cut_short > 0
        return {answer["kind"] for answer in result.wrong}

    kinds = {kind for kind, _ in soaking.KINDS} - {soaking.LEAVES}
    assert wrong_ones("sa", "length") == {"direct", "refined"}  # an answer in one piece is whole
    assert wrong_ones("sa", "stop") == kinds
    assert wrong_ones("other", "length") == kinds
    assert wrong_ones("", "length") == kinds


def test_what_differs_undisturbed_is_the_models_own_and_told_apart() -> None:
    calm = replace(LOAD, calm_s=LOAD.seconds + 60)
    result = soaked(lambda number: (200, "same" if number < AT_REST else "other"), calm)
    assert result.differed > 0
    assert (result.compared, result.wrong) == (0, [])


def test_a_request_that_is_told_to_come_again_is_asked_again_and_not_lost() -> None:
    result = soaked(lambda number: (503 if number == AT_REST else 200, "same"))
    assert result.again == {"http_503": 1}
    assert result.lost.total() == 0


def test_a_request_that_fails_otherwise_is_lost() -> None:
    result = soaked(lambda number: (500 if number == AT_REST + 1 else 200, "same"))
    assert result.lost.total() == 1
    assert "http_500" in next(iter(result.lost))


@pytest.mark.vllm
def test_a_real_engine_is_killed_and_its_server_loses_nothing(tmp_path: Path) -> None:
    from redraft.benchmarks import soak

    model = tiny_model.build(tmp_path / "model")
    arguments = ["--model", str(model), "--kills", "1", "--minutes", "0.4", "--every-s", "0.1"]
    arguments += ["--concurrency", "4", "--questions", "4", "--max-growth", "1000"]
    # Of two tokens that are alike in 16 bits, another batch may pick the other.
    arguments += ["--dtype", "float32"]
    code = soak.main([*arguments, "--max-tokens", "8", "--out", str(tmp_path / "out")])
    figures = json.loads((tmp_path / "out" / "soak.json").read_text())["figures"]
    assert len(figures["killed_at_s"]) == len(figures["back_after_s"]) == 1
    assert (figures["lost"], figures["wrong"], code) == (0, 0, 0), figures
    assert figures["compared"] > 0
