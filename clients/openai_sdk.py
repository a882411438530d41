"""The stock OpenAI SDK against a Redraft server; only base_url is different. Run:

python -m redraft.clients.openai_sdk http://127.0.0.1:8000
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from openai import OpenAI

QUESTION = "Name 4 animals in alphabetical order, none starting with c."


def main(arguments: Sequence[str] | None = None) -> int:
    urls = list(sys.argv[1:] if arguments is None else arguments)
    url = urls[0] if urls else "http://127.0.0.1:8000"
    # No retries: a loop may take longer than the SDK's timeout, and each retry runs it again.
    client = OpenAI(
        base_url=f"{url}/v1", api_key=os.environ.get("OPENAI_API_KEY", "none"), max_retries=0
    )
    model = client.models.list().data[0].id
    whole(client, model)
    streamed(client, model)
    return 0


def whole(client: OpenAI, model: str) -> None:
    """One answer; extra_body carries the refinement options."""
    completion = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"refine": {"max_iterations": 1, "keep": "best"}},
    )
    answer = completion.choices[0].message.content
    refine = (completion.model_extra or {})["refine"]
    print(f"answer: {answer}")
    print(f"stop reason: {refine['stop_reason']}, scores: {refine['scores']}")
    if completion.usage and (details := completion.usage.completion_tokens_details):
        print(f"tokens: {completion.usage.total_tokens}, reasoning: {details.reasoning_tokens}")


def streamed(client: OpenAI, model: str) -> None:
    """A stream: draft and feedback as reasoning, then the answer as content. reasoning_effort is
    how clients without extra_body choose the number of iterations."""
    section = ""
    for chunk in client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        reasoning_effort="low",
        stream=True,
    ):
        delta = chunk.choices[0].delta
        parts = {
            "reasoning": (delta.model_extra or {}).get("reasoning"),
            "content": delta.content,
        }
        for name, text in parts.items():
            if text and name != section:
                print(f"\n[{name}]")
                section = name
            print(text or "", end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(main())
