"""What goes over the wire, byte for byte: one recorded answer of every kind, in wire.golden.txt.
Spans: server/api

After a change that is meant, record them again and read the difference:

    python -m tests.server.api.test_wire
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback

GOLDEN = Path(__file__).with_name("wire.golden.txt")
HEADERS = ("content-type", "retry-after", "x-should-retry", "refine-iterations")
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
REFINE, FEEDBACK, MODELS = "/v1/refine", "/v1/feedback", "/v1/models"
PROMPT: dict[str, Any] = {"prompt": "Capital of France?"}
MESSAGES: dict[str, Any] = {"messages": [{"role": "user", "content": "Capital of France?"}]}
RESPONSE: dict[str, Any] = {**PROMPT, "response": "Lyon."}
STREAM: dict[str, Any] = {"stream": True}
USAGE: dict[str, Any] = {**STREAM, "stream_options": {"include_usage": True}}
TRACE: dict[str, Any] = {"refine": {"trace": True}}
KEPT: dict[str, Any] = {"refine": {"keep": "best", "good_enough": 10, "trace": True}}
LOOP: tuple[Entry, ...] = ("It is Lyon", feedback(3), "It is \u201cParis\u201d")
KEPT_LOOP: tuple[Entry, ...] = ("It is Paris", feedback(8), "It is Lyon", feedback(2))
MALFORMED: tuple[Entry, ...] = ("It is Lyon", "Bad.", "Worse.")
BROKEN: tuple[Entry, ...] = ("It is Lyon", Fail(EngineUnavailable("gone"), "Weak"))
DEAD: tuple[Entry, ...] = (Fail(EngineUnavailable("gone"), "It is"),)


@dataclass(frozen=True)
class Exchange:
    path: str
    body: dict[str, Any] | None = None
    script: tuple[Entry, ...] = field(default=LOOP)

    def answer(self) -> str:
        service = Service(srt_model(ScriptedEngine(*self.script)))
        method = "GET" if self.body is None else "POST"
        sent = send(service, method, self.path, json=self.body)
        response = asyncio.run(sent)
        headers = [
            f"{name}: {response.headers[name]}" for name in HEADERS if name in response.headers
        ]
        return "\n".join([f"{response.status_code}", *headers, "", constant(response.text)])


EXCHANGES = {
    "chat": Exchange(CHAT, MESSAGES),
    "chat with its trace": Exchange(CHAT, {**MESSAGES, **TRACE}),
    "chat that keeps its draft": Exchange(CHAT, {**MESSAGES, **KEPT}, KEPT_LOOP),
    "chat without refinement": Exchange(CHAT, {**MESSAGES, "reasoning_effort": "none"}),
    "chat with malformed feedback": Exchange(CHAT, MESSAGES, MALFORMED),
    "chat whose engine fails": Exchange(CHAT, MESSAGES, BROKEN),
    "chat without a draft": Exchange(CHAT, MESSAGES, DEAD),
    "streamed chat": Exchange(CHAT, {**MESSAGES, **USAGE}),
    "streamed chat that keeps its draft": Exchange(CHAT, {**MESSAGES, **KEPT, **STREAM}, KEPT_LOOP),
    "streamed chat without refinement": Exchange(
        CHAT, {**MESSAGES, **STREAM, "reasoning_effort": "none"}
    ),
    "streamed chat that fails": Exchange(CHAT, {**MESSAGES, **STREAM}, DEAD),
    "completion": Exchange(COMPLETIONS, PROMPT),
    "refined completion": Exchange(COMPLETIONS, {**PROMPT, **TRACE}),
    "streamed completion": Exchange(COMPLETIONS, {**PROMPT, **USAGE}),
    "streamed refined completion": Exchange(COMPLETIONS, {**PROMPT, **TRACE, **USAGE}),
    "refine": Exchange(REFINE, PROMPT),
    "refine without its trace": Exchange(REFINE, {**PROMPT, "trace": False}),
    "refine with a response": Exchange(REFINE, RESPONSE, (feedback(3), "It is Paris")),
    "refine with several drafts": Exchange(
        REFINE, {**PROMPT, "drafts": 2, "max_iterations": 0}, ("a", "b", feedback(2), feedback(4))
    ),
    "streamed refine": Exchange(REFINE, {**PROMPT, **STREAM}),
    "streamed refine with malformed feedback": Exchange(REFINE, {**PROMPT, **STREAM}, MALFORMED),
    "streamed refine that fails": Exchange(REFINE, {**PROMPT, **STREAM}, DEAD),
    "feedback": Exchange(FEEDBACK, RESPONSE, (feedback(3),)),
    "feedback that cannot be read": Exchange(FEEDBACK, RESPONSE, ("Bad.", "Worse.")),
    "models": Exchange(MODELS),
    "one model": Exchange(f"{MODELS}/scripted:refine-2"),
    "a model that is not here": Exchange(f"{MODELS}/gpt"),
    "an unknown field": Exchange(REFINE, {**PROMPT, "max_iteration": 1}),
    "a field of the wrong type": Exchange(CHAT, {"messages": "Hi"}),
    "an address that is not here": Exchange("/v1/nowhere"),
}


def constant(text: str) -> str:
    """Without what differs from one run to the next."""
    text = re.sub(r'"(chatcmpl|cmpl|refine|feedback)-[0-9a-f]{32}"', r'"\1-ID"', text)
    return re.sub(r'"(created|seconds)":[\d.e-]+', r'"\1":0', text)


def recorded() -> dict[str, str]:
    sections = GOLDEN.read_text(encoding="utf-8").split("==== ")[1:]
    parts = [section.partition("\n") for section in sections]
    return {name: text.removesuffix("\n\n") for name, _, text in parts}


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_answer_is_what_was_recorded(name: str) -> None:
    assert EXCHANGES[name].answer().rstrip("\n") == recorded()[name].rstrip("\n")


def record() -> None:
    sections = (f"==== {name}\n{each.answer()}\n\n" for name, each in EXCHANGES.items())
    GOLDEN.write_text("".join(sections), encoding="utf-8")


if __name__ == "__main__":
    record()
