"""Load as applications make it: one direct answer, one refined answer, one refined stream. Run:

    locust -f clients/locustfile.py --headless -u 8 -r 8 -t 30s -H http://127.0.0.1:8000

The key comes from OPENAI_API_KEY. A stream counts as one request; its time to the first piece of
text is a row of its own, "stream: first text".
"""

from __future__ import annotations

import os
import random
import time

from locust import HttpUser, between, task

INSTRUCTIONS = (
    "Name 4 animals in alphabetical order, none starting with c.",
    "Sort these words: pear, fig, apple, banana.",
    "Add these numbers: 17, 45 and 208.",
    "Write the word lantern backwards.",
)


class Caller(HttpUser):
    wait_time = between(0.0, 0.2)

    def on_start(self) -> None:
        if key := os.environ.get("OPENAI_API_KEY"):
            self.client.headers["Authorization"] = f"Bearer {key}"
        self.model = self.client.get("/v1/models").json()["data"][0]["id"].partition(":")[0]

    def chat(self, model: str, **fields: object) -> dict[str, object]:
        message = {"role": "user", "content": random.choice(INSTRUCTIONS)}
        return {"model": model, "messages": [message], "max_tokens": 128, **fields}

    @task
    def direct(self) -> None:
        body = self.chat(f"{self.model}:direct")
        self.client.post("/v1/chat/completions", json=body, name="direct")

    @task
    def refine(self) -> None:
        body = self.chat(f"{self.model}:refine")
        self.client.post("/v1/chat/completions", json=body, name="refine")

    @task
    def stream(self) -> None:
        began = time.perf_counter()
        waiting = True
        with self.client.post(
            "/v1/chat/completions",
            json=self.chat(f"{self.model}:refine", stream=True),
            name="stream",
            stream=True,
            catch_response=True,
        ) as response:
            last = ""
            for line in response.iter_lines(decode_unicode=True):
                if waiting and '"reasoning"' in line:
                    self._report_first_text(began)
                    waiting = False
                if line.startswith('data: {"error"'):
                    response.failure(line)
                last = line or last
            if response.status_code == 200 and last != "data: [DONE]":
                response.failure("the stream ended without [DONE]")

    def _report_first_text(self, began: float) -> None:
        self.environment.events.request.fire(
            request_type="SSE",
            name="stream: first text",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={},
        )
