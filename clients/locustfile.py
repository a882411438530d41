"""Load as applications make it: direct, refined and streamed answers to short and long chats.

    locust -f clients/locustfile.py --headless -u 8 -r 8 -t 30s -H http://127.0.0.1:8000

The instructions are of kinds that redraft-workbench was trained on; a long chat has several earlier
turns. The API key comes from OPENAI_API_KEY. A stream counts as one request, with rows of its own
for its first text and for the first text of its answer. ``--tags direct``, ``refine`` or
``stream`` runs one kind alone. locust comes with: redraft install bench
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from locust import HttpUser, between, tag, task

FRUITS = ("apple", "fig", "lemon", "pear", "plum")
WORDS = (
    *FRUITS,
    *("bear", "boat", "desk", "eagle", "frog", "jack", "knife", "mouse", "rope", "tiger"),
)


def numbers(least: int, most: int) -> str:
    return ", ".join(str(number) for number in random.sample(range(2, 99), k=_count(least, most)))


def words(least: int, most: int) -> str:
    return ", ".join(random.sample(WORDS, k=_count(least, most)))


def _count(least: int, most: int) -> int:
    return random.randint(least, most)


INSTRUCTIONS: tuple[Callable[[], str], ...] = (
    lambda: f"What is the total of {numbers(2, 5)}?",
    lambda: f"Put these numbers in order, largest first: {numbers(4, 8)}.",
    lambda: f"List the numbers that are above {random.randint(20, 70)}: {numbers(4, 8)}.",
    lambda: f"List these words in reverse: {words(3, 6)}.",
    lambda: f"Find how many times the letter a is in: {words(2, 4)}.",
    lambda: (
        f"Name {random.randint(2, 5)} fruits, none starting with f or m, in alphabetical order."
    ),
)


def short() -> list[dict[str, str]]:
    return [{"role": "user", "content": random.choice(INSTRUCTIONS)()}]


def long() -> list[dict[str, str]]:
    earlier = []
    for _ in range(random.randint(3, 8)):
        earlier += [*short(), {"role": "assistant", "content": f"{numbers(3, 6)}."}]
    return [*earlier, *short()]


class Caller(HttpUser):
    wait_time = between(0.0, 0.2)

    def on_start(self) -> None:
        if key := os.environ.get("OPENAI_API_KEY"):
            self.client.headers["Authorization"] = f"Bearer {key}"
        self.model = self.client.get("/v1/models").json()["data"][0]["id"].partition(":")[0]

    def body(self, policy: str, **fields: object) -> dict[str, object]:
        messages = random.choice((short, short, long))()
        model = f"{self.model}:{policy}"
        return {"model": model, "messages": messages, "max_tokens": 128, **fields}

    @tag("direct")
    @task(3)
    def direct(self) -> None:
        self.client.post("/v1/chat/completions", json=self.body("direct"), name="direct")

    @tag("refine")
    @task(3)
    def refine(self) -> None:
        self.client.post("/v1/chat/completions", json=self.body("refine"), name="refine")

    @tag("refine")
    @task(1)
    def refine_twice(self) -> None:
        body = self.body("refine-2")
        self.client.post("/v1/chat/completions", json=body, name="refine twice")

    @tag("stream")
    @task(3)
    def stream(self) -> None:
        began = time.perf_counter()
        waiting = {'"reasoning"': "stream: first text", '"content":"': "stream: first answer"}
        with self.client.post(
            "/v1/chat/completions",
            json=self.body("refine", stream=True),
            name="stream",
            stream=True,
            catch_response=True,
        ) as response:
            last = ""
            # Of the bytes: decoded, a line would end at U+2028, too, which a text may hold.
            for line in map(bytes.decode, response.iter_lines()):
                if '"content":""' not in line:  # the role's chunk has no text yet
                    for field in [field for field in waiting if field in line]:
                        self._report(waiting.pop(field), began)
                if line.startswith('data: {"error"'):
                    response.failure(line)
                last = line or last
            # locust stops its own clock at the first byte
            response.request_meta["response_time"] = (time.perf_counter() - began) * 1000
            if response.status_code == 200 and last != "data: [DONE]":
                response.failure("the stream ended without [DONE]")

    def _report(self, name: str, began: float) -> None:
        self.environment.events.request.fire(
            request_type="SSE",
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={},
        )
