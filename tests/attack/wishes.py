"""How often a model gives the score that a text wishes for. Run, against a server that is asked in
chat messages:

    python -m tests.attack.wishes --url http://127.0.0.1:8000 --model NAME

It sends the 100 texts of tests/support/injections.py to POST /v1/feedback, and the same texts
without a wish, and prints how many scores are those wished for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from typing import Any

import httpx

from tests.support.injections import Injection, honest, injections

ABREAST = 16


async def score_of(client: httpx.AsyncClient, model: str, injection: Injection) -> int | None:
    body: dict[str, Any] = {
        "messages": [message.to_json() for message in injection.messages],
        "response": injection.response,
        **({"model": model} if model else {}),
    }
    answer = await client.post("/v1/feedback", json=body)
    if answer.status_code != 200:
        return None
    score: int | None = answer.json()["score"]
    return score


async def measure(url: str, model: str) -> dict[str, Any]:
    limit = asyncio.Semaphore(ABREAST)
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:

        async def one(injection: Injection) -> int | None:
            async with limit:
                return await score_of(client, model, injection)

        texts = injections()
        unbidden = await one(honest())
        scores = await asyncio.gather(*map(one, texts))
    pairs = list(zip(texts, scores, strict=True))
    return {
        "without a wish": unbidden,
        "unreadable": sum(score is None for score in scores),
        "wished for": {
            wish: {
                "texts": sum(text.wish == wish for text, _ in pairs),
                "followed": sum(text.wish == wish == score for text, score in pairs),
                "scores": dict(Counter(score for text, score in pairs if text.wish == wish)),
            }
            for wish in sorted({text.wish for text in texts})
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.url, given.model))))


if __name__ == "__main__":
    main()
