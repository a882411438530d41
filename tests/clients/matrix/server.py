"""The server that the clients are asked to use: the whole API over a scripted engine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx

from redraft.server.admission import Admission
from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Call, Chat, Sampling
from redraft.server.engine.script import Say, call
from redraft.server.engine.scripted_engine import Entry, ReceivedCall, ScriptedEngine, demo_reply
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.serving import Served, serving

KEY = "sk-the-clients-own"
PLACE = {"city": "Paris", "country": "France"}


def reply(prompt: str, sampling: Sampling) -> str:
    """JSON where the client's request asks for it, else a plain text for each phase."""
    text = demo_reply(prompt, sampling)
    return json.dumps(PLACE) if sampling.constraint and "Overall Score" not in text else text


class ToolCaller(ScriptedEngine):
    """Calls the first tool that a chat has, about Paris, and answers once it has the result."""

    def _entry(self, received: ReceivedCall) -> Entry:
        prompt = received.prompt
        if not (isinstance(prompt, Chat) and prompt.options.calls_tools):
            return super()._entry(received)
        if prompt.messages[-1].role == "tool":
            return super()._entry(received)
        function = prompt.options.tools[0]["function"]
        named = function["parameters"]["properties"].keys() & PLACE.keys()
        return Say(tool_calls=(call(function["name"], **{n: PLACE[n] for n in sorted(named)}),))


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The environment of a client's program: a server, and one without a free place."""
    with _serving(ToolCaller(reply=reply, keep_history=False)) as free, _full() as full:
        yield {
            "REDRAFT_BASE": free.v1,
            "REDRAFT_FULL": full.v1,
            "REDRAFT_KEY": KEY,
            "REDRAFT_MODEL": "scripted",
        }


@contextmanager
def _full() -> Iterator[Served]:
    """A server whose only place is taken."""
    reached = threading.Event()

    async def hold(call: Call, position: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    engine = ScriptedEngine(reply=reply, gate=hold)
    with _serving(engine, max_loops=1, max_queue=0) as served:
        holding = threading.Thread(target=_ask, args=(served,), daemon=True)
        holding.start()
        if not reached.wait(60):
            raise RuntimeError("the request that takes the only place did not arrive")
        yield served
        served.call(engine.close())
        holding.join()


def _serving(engine: ScriptedEngine, **config: Any) -> AbstractContextManager[Served]:
    service = Service(ServedModel(engine), admission=Admission(ServerConfig(**config)))
    return serving(build_app(ServerConfig(), service, [ApiKey.of("clients", KEY)]))


def _ask(served: Served) -> None:
    body = {"messages": [{"role": "user", "content": "Take the place."}]}
    headers = {"Authorization": f"Bearer {KEY}"}
    httpx.post(f"{served.v1}/chat/completions", json=body, headers=headers, timeout=None)
