"""A reasoning model behind HTTP: the loop in front of a real server that thinks, on real vLLM.
Spans: server/engine/http_engine, server/refine, server/api"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Chat
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support import thinker
from tests.support.program import Program, running
from tests.support.thinker import DRAFT, FEEDBACK, REFINEMENT, THOUGHT

pytestmark = pytest.mark.vllm

SUM: Any = [{"role": "user", "content": thinker.SUM}]


class Noting(HttpEngine):
    """Keeps the chats that it is asked."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: list[Chat] = []

    def generate(self, prompt: Any, *more: Any) -> Any:
        self.asked.append(prompt)
        return super().generate(prompt, *more)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    model = thinker.build(tmp_path_factory.mktemp("thinker"))
    with running(str(model), "--served-name", "thinker") as program:
        yield program


def answered(upstream: Program, stream: bool, **body: Any) -> tuple[str, str, Any, list[Chat]]:
    """Content, reasoning and usage as the SDK reads them, and the chats that went upstream."""

    async def ask() -> tuple[str, str, Any, list[Chat]]:
        address = Upstream(f"{upstream.url}/v1", "thinker:direct", tokens=False, thinks=True)
        engine = await Noting.connect(address)
        assert isinstance(engine, Noting)
        app = build_app(ServerConfig(), Service(ServedModel(engine)))
        transport: Any = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        client = openai.AsyncOpenAI(base_url="http://test/v1", api_key="-", http_client=transport)
        chats: Any = client.chat.completions
        request: Any = {"model": engine.model, "messages": SUM, "temperature": 0, "max_tokens": 200}
        try:
            if not stream:
                whole = await chats.create(**request, **body)
                message = whole.choices[0].message
                return message.content, message.reasoning, whole.usage, engine.asked
            content, reasoning, usage = "", "", None
            options = {"stream": True, "stream_options": {"include_usage": True}}
            async for chunk in await chats.create(**request, **body, **options):
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    content += choice.delta.content or ""
                    reasoning += getattr(choice.delta, "reasoning", None) or ""
            return content, reasoning, usage, engine.asked
        finally:
            await engine.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_thoughts_are_reasoning_that_is_counted(
    upstream: Program, stream: bool
) -> None:
    given = {"refine": {"feedback": FEEDBACK}}
    content, reasoning, usage, asked = answered(upstream, stream, extra_body=given)
    assert content == REFINEMENT
    assert f"**Thoughts**\n\n{THOUGHT}" in reasoning
    assert reasoning.count("**Thoughts**") == 1
    assert not any(THOUGHT in prompt for prompt in map(words_of, asked))
    details = usage.completion_tokens_details
    assert 0 < details.reasoning_tokens < usage.completion_tokens


def test_an_upstreams_thoughts_are_in_no_later_prompt(upstream: Program) -> None:
    _, reasoning, _, asked = answered(upstream, stream=False)
    assert THOUGHT in reasoning
    _, feedback, *refinement = map(words_of, asked)
    assert refinement
    assert DRAFT in feedback
    assert not any(THOUGHT in prompt for prompt in (feedback, *refinement))


def test_an_upstream_is_told_not_to_think(upstream: Program) -> None:
    silent = {"refine": {"feedback": FEEDBACK, "think": "none"}}
    content, reasoning, _, _ = answered(upstream, stream=False, extra_body=silent)
    assert content == REFINEMENT
    assert THOUGHT not in reasoning


def words_of(chat: Chat) -> str:
    return "\n".join(message.content for message in chat.messages)
