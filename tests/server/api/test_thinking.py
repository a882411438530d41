"""A model that thinks: its thoughts are reasoning, and never part of a response or of a prompt.
Spans: server/api, server/refine"""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from redraft.server.config import ServerConfig
from redraft.server.engine.base import Chat
from redraft.server.engine.script import Say
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback
from tests.support.serving import answering

CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Capital of France?"}]
DRAFT = Say("Lyon.", thought="A large city.")
THOUGHTFUL = (DRAFT, Say(feedback(3), thought="Hm, is it?"), Say("Paris.", thought="The capital."))


def thinker(*script: Any) -> ScriptedEngine:
    return ScriptedEngine(*(script or THOUGHTFUL), thinks=True)


def ask(
    engine: ScriptedEngine,
    *,
    prompted: bool = True,
    path: str = CHAT,
    config: dict[str, Any] | None = None,
    **body: Any,
) -> dict[str, Any]:
    service = Service(ServedModel(engine) if prompted else srt_model(engine))
    content = {"messages": MESSAGES, **body}
    answer = asyncio.run(send(service, "POST", path, ServerConfig(**(config or {})), json=content))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def thinks(engine: ScriptedEngine) -> list[bool | None]:
    prompts = [received.prompt for received in engine.history]
    return [prompt.options.think for prompt in prompts if isinstance(prompt, Chat)]


@pytest.mark.parametrize("prompted", [False, True])
def test_thoughts_of_a_draft_are_reasoning_and_nothing_else(prompted: bool) -> None:
    engine = thinker()
    told = ask(engine, prompted=prompted)
    message = told["choices"][0]["message"]
    assert message["content"] == "Paris."
    assert message["reasoning"].startswith("**Thoughts**\n\nA large city.\n\n**Draft**\n\nLyon.")
    assert all("A large city." not in received.text for received in engine.history)


def test_they_are_the_reasoning_of_an_answer_that_is_not_refined() -> None:
    told = ask(thinker(), model="scripted:direct")
    message = told["choices"][0]["message"]
    assert (message["content"], message["reasoning"]) == ("Lyon.", "A large city.")


def test_an_answer_without_thoughts_has_no_reasoning_when_it_is_not_refined() -> None:
    message = ask(thinker("Lyon."), model="scripted:direct")["choices"][0]["message"]
    assert "reasoning" not in message


def test_usage_counts_thoughts_as_reasoning() -> None:
    told = ask(thinker(), model="scripted:direct")
    usage = told["usage"]
    assert usage["completion_tokens"] == 3 + 2
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 3
    assert told["refine"]["usage"]["draft"]["thought_tokens"] == 3


def test_a_phase_that_continues_a_draft_continues_its_text_alone() -> None:
    engine, plain = thinker(), ScriptedEngine("Lyon.", feedback(3), "Paris.")
    ask(engine, prompted=False)
    ask(plain, prompted=False)
    assert [r.text for r in engine.history[1:]] == [r.text for r in plain.history[1:]]


@pytest.mark.parametrize(
    ("think", "told"),
    [
        (None, [None, False, False]),
        ("draft", [True, False, False]),
        ("all", [True, True, True]),
        ("none", [False, False, False]),
    ],
)
def test_the_phases_that_think_are_chosen(think: str | None, told: list[bool | None]) -> None:
    engine = thinker()
    ask(engine, refine={"think": think} if think else {})
    assert thinks(engine) == told


def test_the_operator_chooses_what_a_request_leaves_open() -> None:
    engine = thinker()
    ask(engine, config={"think": "none", "think_tokens": 2})
    assert thinks(engine) == [False] * 3
    engine = thinker()
    ask(engine, config={"think": "none", "think_tokens": 2}, refine={"think": "draft"})
    assert thinks(engine) == [True, False, False]
    (draft, *_) = engine.history
    assert isinstance(draft.prompt, Chat)
    assert draft.prompt.options.think_tokens == 2


def test_thoughts_have_a_budget() -> None:
    told = ask(thinker(), refine={"think_tokens": 2})
    assert told["choices"][0]["message"]["reasoning"].startswith("**Thoughts**\n\nA large\n\n**D")


def test_every_phase_that_thinks_shows_it() -> None:
    reasoning = ask(thinker(), refine={"think": "all"})["choices"][0]["message"]["reasoning"]
    headings = [line for line in reasoning.splitlines() if line.startswith("**")]
    assert headings == [
        "**Thoughts**",
        "**Draft**",
        "**Thoughts on feedback**",
        "**Feedback**",
        "**Thoughts on refinement**",
    ]


@pytest.mark.parametrize("body", [{}, {"refine": {"think": "all"}}, {"model": "scripted:direct"}])
def test_a_stream_reasons_as_the_whole_answer_does(body: dict[str, Any]) -> None:
    whole = ask(thinker(), **body)["choices"][0]["message"]
    with answering(thinker(), Service(ServedModel(engine := thinker()))) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        extra = {"refine": body["refine"]} if "refine" in body else None
        chunks = client.chat.completions.create(
            model=body.get("model", "scripted"), messages=MESSAGES, stream=True, extra_body=extra
        )
        deltas: list[Any] = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(getattr(d, "reasoning", None) or "" for d in deltas) == whole["reasoning"]
    assert "".join(delta.content or "" for delta in deltas) == whole["content"]
    assert engine.history


@pytest.mark.parametrize("broken", ["feedback", "refinement"])
@pytest.mark.parametrize("prompted", [False, True])
def test_a_phase_of_thoughts_alone_ends_with_the_best_so_far(broken: str, prompted: bool) -> None:
    endless = Say("never said", thought="well " * 50)
    script: list[Any] = [DRAFT, Say(feedback(3)), endless]
    if broken == "feedback":
        script = [DRAFT, endless, endless]
    sampling = {"feedback_sampling": {"max_tokens": 20}, "refinement": {"max_tokens": 20}}
    engine = thinker(*script)
    if not prompted:  # phases after a draft continue tokens, and do not think
        engine = thinker(*[Say("") if each is endless else each for each in script])
    told = ask(engine, prompted=prompted, refine={"think": "all", **sampling})
    assert told["choices"][0]["message"]["content"] == "Lyon."
    reason = "malformed_feedback" if broken == "feedback" else "no_change"
    assert told["refine"]["stop_reason"] == reason


def test_the_trace_keeps_thoughts_apart() -> None:
    told = ask(thinker(), path="/v1/refine", think="all")
    (draft,) = told["trace"]["drafts"]
    assert (draft["text"], draft["thought"], draft["tokens"]) == ("Lyon.", "A large city.", 2)
    (iteration,) = told["trace"]["iterations"]
    assert iteration["feedback"]["thought"] == "Hm, is it?"
    assert iteration["refinement"]["thought"] == "The capital."


# -- what reasoning_effort is about ------------------------------------------------------------


@pytest.mark.parametrize(
    ("effort", "iterations", "told"),
    [("refine", 0, None), ("think", 1, "none"), ("both", 0, "none")],
)
def test_effort_none_is_about_what_the_operator_says(
    effort: str, iterations: int, told: str | None
) -> None:
    engine = thinker()
    answer = ask(engine, config={"effort": effort}, reasoning_effort="none")
    assert answer["refine"]["iterations"] == iterations
    (draft, *_) = engine.history
    assert isinstance(draft.prompt, Chat)
    assert draft.prompt.options.reasoning_effort == told
    assert draft.prompt.options.think is (None if effort == "refine" else False)


def test_an_effort_to_think_leaves_iterations_alone() -> None:
    engine = thinker()
    answer = ask(engine, config={"effort": "think"}, reasoning={"effort": "max"})
    assert answer["refine"]["iterations"] == 1
    (draft, *later) = [received.prompt for received in engine.history]
    assert isinstance(draft, Chat)
    assert draft.options.reasoning_effort == "max"
    assert all(isinstance(p, Chat) and p.options.reasoning_effort is None for p in later)


def test_variables_of_the_template_reach_the_draft() -> None:
    engine = thinker()
    ask(engine, chat_template_kwargs={"enable_thinking": False})
    (draft, *later) = [received.prompt for received in engine.history]
    assert isinstance(draft, Chat)
    assert draft.options.template_kwargs == {"enable_thinking": False}
    assert all(isinstance(p, Chat) and not p.options.template_kwargs for p in later)
