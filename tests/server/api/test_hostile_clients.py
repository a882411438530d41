"""Many clients that leave whenever they like, half a request or half an answer through: nothing
of them stays behind, and those who stay are served.
Spans: server/api, server/service, server/admission"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from redraft.server.admission import Admission
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.serving import Served, answering

CLIENTS = 150
PATHS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/completions": {"prompt": "Hi", "refine": {"max_iterations": 2}},
    "/v1/refine": {"prompt": "Hi", "drafts": 3},
}


def request(chance: random.Random) -> bytes:
    path = chance.choice(list(PATHS))
    body = {**PATHS[path], "stream": chance.random() < 0.7}
    content = json.dumps(body).encode()
    lines = f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json"
    head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""])
    return head.encode() + content


async def visit(port: int, chance: random.Random) -> bytes:
    """One client. What it read before it left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    whole = request(chance)
    patience = chance.choice(["none", "half a request", "some bytes", "all"])
    writer.write(whole[: len(whole) // 2] if patience == "half a request" else whole)
    await writer.drain()
    read = b""
    if patience == "some bytes":
        read = await reader.read(chance.randrange(1, 4000))
    while patience == "all" and not done(read):
        more = await reader.read(65536)
        assert more, f"the connection was cut: {read[-200:]!r}"
        read += more
    writer.transport.abort()  # no goodbye
    return read if patience == "all" else b""


def done(read: bytes) -> bool:
    head, found, body = read.partition(b"\r\n\r\n")
    if not found:
        return False
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
    return len(body) >= int(length.split(b":")[1])


async def visits(port: int, seed: int) -> list[bytes]:
    chances = [random.Random(seed * 1000 + number) for number in range(CLIENTS)]
    return await asyncio.gather(*(visit(port, chance) for chance in chances))


def tasks(served: Served) -> int:
    async def count() -> int:
        return len(asyncio.all_tasks())

    return served.call(count())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_of_them_stays_behind(seed: int) -> None:
    engine = ScriptedEngine(reply=demo_reply, delay=0.001, keep_history=False)
    service = Service(
        srt_model(engine), admission=Admission(ServerConfig(max_loops=16, queue_timeout_s=600))
    )
    with answering(engine, service, keep_alive_s=0.02) as served:
        before = tasks(served)
        answers = asyncio.run(visits(served.port, seed))
        served.until(lambda: not (engine.running or service.running or service.admission.waiting))
        served.until(lambda: len(asyncio.all_tasks(served.loop)) <= before + 1)
    assert service.admission.running == 0
    stayed: list[Any] = [answer for answer in answers if answer]
    assert len(stayed) > CLIENTS / 10
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in stayed)
