"""Tools in a chat: a draft that calls them is the answer, a draft in words is refined.
Spans: server/api, server/refine"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import openai
import pytest

from redraft.server.engine.base import Chat
from redraft.server.engine.script import Say, call
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback
from tests.support.serving import answering

CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Weather in Oslo?"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
TOOLS: Any = [TOOL, {"type": "function", "function": {"name": "time"}}]
OSLO = call("weather", city="Oslo")
REFINED = ("It may rain.", feedback(3), "It rains.")


def ask(engine: ScriptedEngine, *, prompted: bool = False, **body: Any) -> httpx.Response:
    service = Service(ServedModel(engine) if prompted else srt_model(engine))
    content = {"messages": MESSAGES, "tools": TOOLS, **body}
    return asyncio.run(send(service, "POST", CHAT, json=content))


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("model", ["scripted", "scripted:direct"])
def test_a_draft_that_calls_tools_is_the_answer(model: str, prompted: bool) -> None:
    engine = ScriptedEngine(Say("One moment.", tool_calls=(OSLO,)))
    told = ask(engine, prompted=prompted, model=model).json()
    (choice,) = told["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [OSLO]
    assert choice["message"]["content"] == "One moment."
    assert told["refine"]["stop_reason"] == "tool_calls"
    assert len(engine.history) == 1


def test_calls_alone_have_no_content() -> None:
    (choice,) = ask(ScriptedEngine(Say(tool_calls=(OSLO,)))).json()["choices"]
    assert choice["message"]["content"] is None


@pytest.mark.parametrize("prompted", [False, True])
def test_a_draft_in_words_is_refined(prompted: bool) -> None:
    engine = ScriptedEngine(*REFINED)
    told = ask(engine, prompted=prompted).json()
    assert told["choices"][0]["message"]["content"] == "It rains."
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["refine"]["stop_reason"] == "max_iterations"


def test_only_the_draft_is_given_the_tools() -> None:
    engine = ScriptedEngine(*REFINED)
    ask(engine, prompted=True, tool_choice="auto", parallel_tool_calls=False)
    prompts = [received.prompt for received in engine.history]
    options = [prompt.options for prompt in prompts if isinstance(prompt, Chat)]
    assert [bool(each.tools) for each in options] == [True, False, False]
    assert options[0].tools == tuple(TOOLS)
    assert options[0].parallel_tool_calls is False


NAMED = {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize("choice", ["none", "auto", "required", NAMED])
def test_the_choice_reaches_the_engine(choice: Any) -> None:
    engine = ScriptedEngine(Say(tool_calls=(OSLO,)))
    ask(engine, prompted=True, tool_choice=choice, model="scripted:direct")
    (received,) = engine.history
    assert isinstance(received.prompt, Chat)
    assert received.prompt.options.tool_choice == choice


HISTORY = [
    *MESSAGES,
    {"role": "assistant", "content": None, "tool_calls": [OSLO]},
    {"role": "tool", "tool_call_id": OSLO["id"], "content": "Rain, 3 degrees"},
]


def test_calls_and_results_belong_to_the_instruction() -> None:
    engine = ScriptedEngine(*REFINED)
    answer = ask(engine, prompted=True, messages=HISTORY)
    assert answer.status_code == 200
    draft, asked, _ = engine.history
    assert isinstance(draft.prompt, Chat)
    assert [message.to_json() for message in draft.prompt.messages][2] == HISTORY[2]
    assert 'calls weather({"city": "Oslo"})' in asked.text
    assert re.search(r"^\[tool \w+]\nRain, 3 degrees", asked.text, re.MULTILINE)


def test_a_history_of_calls_needs_no_tools() -> None:
    engine = ScriptedEngine(*REFINED)
    assert ask(engine, messages=HISTORY, tools=None).status_code == 200


def test_the_first_of_several_drafts_that_calls_a_tool_is_the_answer() -> None:
    engine = ScriptedEngine("It may rain.", Say(tool_calls=(OSLO,)), feedback(5))
    told = ask(engine, refine={"drafts": 2}, temperature=0.7).json()
    assert told["choices"][0]["message"]["tool_calls"] == [OSLO]
    assert told["refine"]["stop_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": "weather"}, "tools"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "fly"}}}, "tool_choice"),
        ({"tools": None, "tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}, *MESSAGES]},
            "messages[0].tool_calls[0].function",
        ),
    ],
)
def test_a_mistake_is_named(body: dict[str, Any], param: str) -> None:
    answer = ask(ScriptedEngine(), **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("model", ["scripted", "scripted:direct"])
def test_without_a_parser_the_option_that_chooses_one_is_named(model: str) -> None:
    answer = ask(ScriptedEngine(calls_tools=False), model=model)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "tools"
    assert "--tool-call-parser" in error["message"]


def test_tools_that_must_not_be_called_need_no_parser() -> None:
    engine = ScriptedEngine(*REFINED, calls_tools=False)
    assert ask(engine, tool_choice="none").status_code == 200


# -- as a client streams it -------------------------------------------------------------------


def streamed(engine: ScriptedEngine, **body: Any) -> list[Any]:
    with answering(engine) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        asked: Any = {"model": "scripted", "messages": MESSAGES, "tools": TOOLS, **body}
        return list(client.chat.completions.create(**asked, stream=True))


@pytest.mark.parametrize("model", ["scripted", "scripted:direct"])
def test_calls_are_streamed_after_the_text_before_them(model: str) -> None:
    chunks = streamed(ScriptedEngine(Say("One moment.", tool_calls=(OSLO,))), model=model)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    kinds = ["calls" if d.tool_calls else "content" for d in deltas if d.tool_calls or d.content]
    assert kinds == sorted(kinds, reverse=True)
    assert "".join(delta.content or "" for delta in deltas) == "One moment."
    arguments = [part.function.arguments for d in deltas for part in d.tool_calls or ()]
    assert len(arguments) == 3
    assert json.loads("".join(arguments)) == {"city": "Oslo"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_sdk_puts_the_calls_of_a_stream_together() -> None:
    engine = ScriptedEngine(Say(tool_calls=(OSLO, call("time", zone="CET"))))
    with answering(engine) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        asked: Any = {"model": "scripted", "messages": MESSAGES, "tools": TOOLS}
        with client.chat.completions.stream(**asked) as stream:
            calls = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [each.function.name for each in calls] == ["weather", "time"]
    assert json.loads(calls[1].function.arguments) == {"zone": "CET"}


def test_a_draft_in_words_is_refined_in_a_stream() -> None:
    chunks = streamed(ScriptedEngine(*REFINED))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It rains."
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_thoughts_within_the_content_end_before_the_calls() -> None:
    engine = ScriptedEngine(Say(thought="Look.", tool_calls=(OSLO,)), thinks=True)
    with answering(engine, Service(ServedModel(engine)), reasoning_field="inline_think") as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        asked: Any = {"model": "scripted", "messages": MESSAGES, "tools": TOOLS}
        chunks = list(client.chat.completions.create(**asked, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "<think>\n**Thoughts**\n\nLook.\n</think>\n\n"
