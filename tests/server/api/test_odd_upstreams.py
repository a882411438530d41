"""Whatever an upstream answers, in any phase and for every dialect: the loop answers with the best
it has, and without a draft the client gets an error in OpenAI's shape; never a failure of ours.
Spans: server/engine/http_engine, server/refine, server/api"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.http_engine import HttpEngine
from redraft.server.model import ServedModel
from redraft.server.refine.manifest import DefaultPolicy, Manifest
from redraft.server.service import Service
from tests.support.asgi import send_to
from tests.support.faults import fault
from tests.support.http_stage import STAGE, stage, with_engine
from tests.support.loops import FORMAT, feedback
from tests.support.odd_answers import BEGINNING, ODD, ODD_WHOLE, Odd
from tests.support.upstream import Refuse, Scene, Stream

__all__ = ["stage"]  # a fixture, used by being here

Phase = Literal["draft", "feedback", "refinement"]
PHASES: tuple[Phase, ...] = ("draft", "feedback", "refinement")
QUESTION = "Capital of Italy?"
DRAFT, FEEDBACK, REFINED = "It is Milan.", feedback(3), "It is Rome."
# Every address that runs the loop, and a request to it.
DIALECTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": QUESTION}]},
    "/v1/completions": {"prompt": QUESTION},
    "/v1/refine": {"prompt": QUESTION},
}
NO_ANSWER = (("error", "engine_unavailable"), ("error", "unsupported_by_engine"))
ONCE: dict[str, Any] = {"max_iterations": 1, "keep": "last"}


def body_for(path: str, stream: bool) -> dict[str, Any]:
    asked = ONCE if path == "/v1/refine" else {"refine": ONCE}
    return {**DIALECTS[path], **asked, "stream": stream}


def scene_of(odd: Odd, phase: Phase, vllm: bool) -> Scene:
    """An upstream whose answer to one phase is odd. Feedback that says "Paris." is asked for
    again."""
    heard: list[str] = {
        "draft": [FEEDBACK, REFINED],
        "feedback": [DRAFT, FEEDBACK, REFINED],
        "refinement": [DRAFT, FEEDBACK],
    }[phase]
    scene = Scene(*heard, vllm=vllm)
    scene.next = [*[None] * PHASES.index(phase), odd.answer]
    return scene


@dataclass(frozen=True)
class Asked:
    """One request to a server whose upstream is odd in one phase."""

    phase: Phase
    path: str
    body: dict[str, Any]
    status: int
    text: str

    @property
    def outcome(self) -> tuple[str, str]:
        """The answer and why the loop ended; or "error", and its code."""
        return told(self.status, self.text, self.path, self.body.get("stream", False))

    @property
    def live(self) -> bool:
        """Whether the client reads the refinement as the answer while it is written."""
        openais = self.path != "/v1/refine"
        return openais and self.phase == "refinement" and self.body.get("stream", False)


def answers_to(odd: Odd, requests: list[tuple[Phase, str, Any]], vllm: bool = False) -> list[Asked]:
    async def ask(engine: HttpEngine) -> list[Asked]:
        manifest = Manifest(FORMAT, "", "", policy=DefaultPolicy()) if vllm else None
        app = build_app(ServerConfig(), Service(ServedModel(engine, manifest, engine.direct)))
        answers = []
        for phase, path, body in requests:
            STAGE.app = scene_of(odd, phase, vllm).app()
            answer = await send_to(app, "POST", path, json=body)
            answers.append(Asked(phase, path, body, answer.status_code, answer.text))
        return answers

    return with_engine(Scene(vllm=vllm), ask, retries=0)


def told(status: int, text: str, path: str, stream: bool) -> tuple[str, str]:
    if status != 200:
        return "error", _code(json.loads(text))
    if not stream:
        return _answer(json.loads(text), path)
    data = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    events = [json.loads(each) for each in data if each != "[DONE]"]
    if "error" in events[-1]:
        return "error", _code(events[-1])
    if path == "/v1/refine":
        return _answer(events[-1]["refine"], path)
    chosen = [event["choices"][0] for event in events if event["choices"]]
    texts = [c["delta"].get("content") if "delta" in c else c["text"] for c in chosen]
    return "".join(part or "" for part in texts), events[-1]["refine"]["stop_reason"]


def _code(answer: dict[str, Any]) -> str:
    error = answer["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["code"])


def _answer(answer: dict[str, Any], path: str) -> tuple[str, str]:
    if path == "/v1/refine":
        return answer["answer"], answer["stop_reason"]
    (choice,) = answer["choices"]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return text, answer["refine"]["stop_reason"]


def check(odd: Odd, asked: Asked) -> None:
    if odd.text is not None:
        answered = odd.text if asked.phase == "refinement" else REFINED
        assert asked.outcome == (answered, "max_iterations"), asked
    elif asked.phase == "draft":
        assert asked.outcome in NO_ANSWER, asked
    elif asked.live and odd.begins:
        # The client has its beginning already: it stays the answer, with finish_reason length.
        assert asked.outcome == (BEGINNING, "engine_failure"), asked
    else:
        assert asked.outcome == (DRAFT, "engine_failure"), asked


each_odd = pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)


@fault(
    "Upstream",
    "The upstream answers oddly (tests/support/odd_answers.py), in any phase and dialect",
    sees="its best, with `stop_reason` `engine_failure`; without a draft an error, 503 or 400",
    lost="the phases that were to come; nothing where the answer can be understood",
    recovers="asks on with the next request",
)
@each_odd
def test_an_odd_answer_costs_nothing_but_itself_in_any_phase_and_dialect(odd: Odd) -> None:
    requests = [
        (phase, path, body_for(path, stream))
        for phase in PHASES
        for path in DIALECTS
        for stream in (False, True)
    ]
    for asked in answers_to(odd, requests):
        check(odd, asked)


@each_odd
def test_nor_where_prompts_are_token_ids(odd: Odd) -> None:
    requests = [(phase, "/v1/refine", body_for("/v1/refine", False)) for phase in PHASES]
    for asked in answers_to(odd, requests, vllm=True):
        check(odd, asked)


@each_odd
def test_feedback_alone_is_given_or_is_an_error(odd: Odd) -> None:
    body = {"prompt": QUESTION, "response": DRAFT}
    requests: list[tuple[Phase, str, Any]] = [("draft", "/v1/feedback", body)]
    (asked,) = answers_to(odd, requests)
    if odd.text is None:
        assert asked.status in (400, 503), asked
        assert _code(json.loads(asked.text)), asked
    else:  # "Paris." is no feedback, and was asked for again
        assert json.loads(asked.text)["score"] == 3, asked


DIRECT: dict[str, Any] = {**DIALECTS["/v1/chat/completions"], "n": 2, "reasoning_effort": "none"}


@fault(
    "Upstream",
    "The same in direct mode, streamed",
    sees="whole events, then an error event",
    lost="the rest of the answer",
    recovers="asks on with the next request",
)
@each_odd
def test_direct_mode_streams_what_a_client_can_read_or_an_error(odd: Odd) -> None:
    requests: list[tuple[Phase, str, Any]]
    requests = [("draft", "/v1/chat/completions", {**DIRECT, "stream": True})]
    (asked,) = answers_to(odd, requests)
    if asked.status != 200:
        assert _code(json.loads(asked.text)) != "internal_error", asked
        return
    *data, last = [line[6:] for line in asked.text.split("\n") if line.startswith("data: ")]
    events = [json.loads(each) for each in [*data, last] if each != "[DONE]"]
    failures = [_code(event) for event in events if "error" in event]
    assert "internal_error" not in failures, asked
    assert last == "[DONE]" or failures or any(_ends(event) for event in events), asked


def _ends(event: dict[str, Any]) -> bool:
    return any(isinstance(c, dict) and c.get("finish_reason") for c in event.get("choices") or ())


@pytest.mark.parametrize("answer", ODD_WHOLE.values(), ids=ODD_WHOLE)
def test_direct_mode_answers_what_is_no_completion_with_an_error(answer: Stream | Refuse) -> None:
    requests: list[tuple[Phase, str, Any]] = [("draft", "/v1/chat/completions", DIRECT)]
    (asked,) = answers_to(Odd("", answer), requests)
    assert asked.status in (429, 500, 502, 503), asked
    assert _code(json.loads(asked.text)) != "internal_error", asked
