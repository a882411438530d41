"""The program with a real engine behind it, asked by OpenAI's own client over a real socket.
Spans: server, clients"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest

from redraft.server.refine.trace_json import PHASES
from tests.server.api.test_disconnect import connection
from tests.support import tiny_model
from tests.support.program import Program, running

pytestmark = pytest.mark.vllm

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
STREAMS = 64
PATIENCE_S = 240
# A model with random weights writes no feedback that can be read; these two loops go on anyway.
OWN_FEEDBACK = {"feedback": "It is wrong. Say something else.", "refinement": {"temperature": 1.0}}
WRITES_FEEDBACK = {"max_iterations": 1, "feedback_sampling": {"max_tokens": 12}}
SHORT = 4  # tokens of a draft that only comes before
# Sampled, since greedily the random model may repeat half a character to the end: text never comes.
ENDLESS = {"ignore_eos": True, "min_tokens": 2900, "max_tokens": 3000, "temperature": 2.0}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    directory = tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")
    with running("--model", str(directory), OMP_NUM_THREADS="1") as started:
        yield started


def metric(program: Program, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = httpx.get(f"{program.url}/metrics", timeout=PATIENCE_S).text.splitlines()
    found = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
    assert found, f"no metric {name}"
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def wait_until(program: Program, name: str, value: float) -> None:
    ends = time.monotonic() + PATIENCE_S
    while metric(program, name) != value:
        assert time.monotonic() < ends, f"{name} never became {value}"


def wait_idle(program: Program) -> None:
    """Until the engine writes nothing but what it is asked for here. (Its gauge of running
    requests does not tell: it is only set while the engine works.)"""
    wait_until(program, "redraft_loops_in_flight", 0)
    ends = time.monotonic() + PATIENCE_S
    before, now = 0.0, metric(program, "vllm:generation_tokens_total")
    while now > before + 1:
        assert time.monotonic() < ends, "the engine never became idle"
        probe = {"prompt": [1], "max_tokens": 1}
        httpx.post(f"{program.url}/v1/completions", json=probe, timeout=PATIENCE_S)
        before, now = now, metric(program, "vllm:generation_tokens_total")


@contextmanager
def freed(program: Program) -> Iterator[None]:
    """The engine stops before it has written all that was asked for."""
    wait_idle(program)
    before = metric(program, "vllm:generation_tokens_total")
    yield
    wait_idle(program)
    assert metric(program, "vllm:generation_tokens_total") - before < ENDLESS["min_tokens"]


def request(number: int, **refine: Any) -> dict[str, Any]:
    kind = OWN_FEEDBACK if number % 2 else WRITES_FEEDBACK
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"Name {number} animals, please."}],
        "max_tokens": 6 + number % 17,
        "seed": number,
        "extra_body": {"refine": {**kind, "trace": True, **refine}},
    }


class Told:
    """One streamed answer, put together."""

    def __init__(self) -> None:
        self.content = self.reasoning = ""
        self.ids: set[str] = set()
        self.outcome: Any = None
        self.usage: Any = None

    async def listen(self, pieces: Any) -> Told:
        async for piece in pieces:
            self.ids.add(piece.id)
            if piece.usage:
                self.usage = piece.usage
                continue
            extra = piece.choices[0].delta.model_extra or {}
            assert not (extra.get("reasoning") and self.content), "reasoning after content"
            self.reasoning += extra.get("reasoning") or ""
            self.content += piece.choices[0].delta.content or ""
            if piece.choices[0].finish_reason:
                self.outcome = piece.model_extra["refine"]
        return self


async def ask_all(url: str) -> list[Told]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=300) as client:

        async def one(number: int) -> Told:
            pieces = await client.chat.completions.create(
                **request(number), stream=True, stream_options={"include_usage": True}
            )
            return await Told().listen(pieces)

        return await asyncio.gather(*(one(number) for number in range(STREAMS)))


def test_many_streams_at_once_are_whole_unmixed_and_counted_to_the_token(program: Program) -> None:
    wait_idle(program)
    names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    before = [metric(program, name) for name in names]
    told = asyncio.run(ask_all(program.url))
    spent = [metric(program, name) - start for name, start in zip(names, before, strict=True)]

    assert all(len(each.ids) == 1 for each in told)
    assert len(set.union(*(each.ids for each in told))) == STREAMS
    for each in told:
        trace = each.outcome["trace"]
        refinements = [i["refinement"] for i in trace["iterations"] if i["refinement"]]
        responses = [trace["drafts"][0], *refinements]
        assert each.content == responses[trace["kept"]]["text"]
        assert responses[0]["text"] in each.reasoning
    stops = Counter(each.outcome["stop_reason"] for each in told)
    assert stops == {"malformed_feedback": STREAMS // 2, "max_iterations": STREAMS // 2}

    assert sum(each.usage.prompt_tokens for each in told) == spent[0]
    assert sum(each.usage.completion_tokens for each in told) == spent[1]


def test_streamed_or_not_the_real_engine_says_the_same(program: Program) -> None:
    client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none")
    # Longer than a block of the prefix cache, so that there is something to find in it.
    body = request(7) | {"messages": [{"role": "user", "content": "Name four animals. " * 20}]}
    # Twice: what the prefix cache does not have is computed in other steps, which a random model
    # may notice in the last digit.
    for _ in range(2):
        whole: Any = client.chat.completions.create(**body, temperature=0.0)
    pieces: Any = client.chat.completions.create(**body, temperature=0.0, stream=True)
    assert whole.choices[0].message.content == "".join(
        piece.choices[0].delta.content or "" for piece in pieces
    )
    usage = whole.model_extra["refine"]["usage"]
    assert usage["refinement"]["cached_tokens"] > 0  # the draft was still in the cache
    assert whole.usage.completion_tokens == sum(
        usage[p]["completion_tokens"] for p in PHASES if p in usage
    )


def leave(program: Program, body: dict[str, Any], sign: str) -> None:
    """Ask, and go: when ``sign`` is in the stream, or the engine is past the short draft."""
    if body["stream"]:
        url = program.url + CHAT
        with httpx.stream("POST", url, json=body, timeout=PATIENCE_S) as answer:
            assert any(sign in line for line in answer.iter_lines())
        return
    before = metric(program, "vllm:generation_tokens_total")
    with connection(httpx.URL(program.url), CHAT, body):
        ends = time.monotonic() + PATIENCE_S
        while metric(program, "vllm:generation_tokens_total") < before + SHORT + 4:
            assert time.monotonic() < ends, "the engine never came to what was asked"


@pytest.mark.parametrize(
    ("phase", "refine"),
    [
        ("draft", {"draft": ENDLESS}),
        ("feedback", {"draft": {"max_tokens": SHORT}, "feedback_sampling": ENDLESS}),
        ("refinement", {**OWN_FEEDBACK, "draft": {"max_tokens": SHORT}, "refinement": ENDLESS}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_the_engine(
    program: Program, phase: str, refine: dict[str, Any], stream: bool
) -> None:
    body = {
        "messages": [{"role": "user", "content": "Name four animals."}],
        "stream": stream,
        "refine": refine,
    }
    with freed(program):
        leave(program, body, sign=f'"phase":"{phase}"')


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_direct_mode_frees_the_engine(program: Program, stream: bool) -> None:
    body = {
        "model": "tiny:direct",
        "messages": [{"role": "user", "content": "Name four animals."}],
        "stream": stream,
        "logprobs": True,
        **ENDLESS,
    }
    with freed(program):
        leave(program, body, sign='"logprobs":{')


def test_direct_mode_has_the_engines_whole_api(program: Program) -> None:
    client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none")
    told = client.chat.completions.create(
        model="tiny:direct",
        messages=[{"role": "user", "content": "Name four animals."}],
        n=2,
        logprobs=True,
        max_tokens=5,
    )
    assert len(told.choices) == 2
    assert told.choices[0].logprobs is not None
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(
            model="tiny:direct",
            messages=[{"role": "user", "content": "x"}],
            logprobs=True,
            max_tokens=100_000,
        )
    assert raised.value.type == "invalid_request_error"
    assert isinstance(raised.value.code, str)


def test_json_is_json_and_feedback_stays_free(program: Program) -> None:
    client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none")
    told: Any = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Yes or no?"}],
        extra_body={
            "structured_outputs": {"choice": ["yes", "no"]},
            "refine": {"trace": True, "feedback_sampling": {"max_tokens": 20}},
        },
    )
    assert told.choices[0].message.content in ("yes", "no")
    reasoning = told.choices[0].message.model_extra["reasoning"]
    assert reasoning.startswith("**Draft**\n\n")


def test_an_impossible_schema_is_the_requests_fault(program: Program) -> None:
    client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "x"}],
            extra_body={"structured_outputs": {"regex": "(unclosed"}},
        )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:image/png;base64,AAAA", "is not a multimodal model"),
        ("http://127.0.0.1/cat.png", "this server fetches nothing from other addresses"),
    ],
)
def test_a_model_of_text_alone_names_the_part(program: Program, url: str, why: str) -> None:
    image = {"type": "image_url", "image_url": {"url": url}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, image]}]}
    answer = httpx.post(program.url + CHAT, json=body, timeout=PATIENCE_S)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "messages[0].content[1]")
    assert "is of type 'image_url'" in error["message"]
    assert why in error["message"]


ODD: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"logit_bias": {"999999": 5}}),
    (CHAT, {"logit_bias": {"5": 100}}),
    (CHAT, {"stop_token_ids": [10**9]}),
    (CHAT, {"stop_token_ids": [2**62]}),
    (CHAT, {"top_k": 10**12}),
    (CHAT, {"top_k": 2**62}),
    (CHAT, {"seed": -(2**63)}),
    (CHAT, {"seed": 2**63 - 1}),
    (CHAT, {"min_tokens": 4000}),
    (CHAT, {"min_tokens": 10**9}),
    (CHAT, {"max_tokens": 4090}),
    (CHAT, {"temperature": 2.0, "top_p": 1e-9, "min_p": 1.0}),
    (CHAT, {"temperature": 1e-12}),
    (CHAT, {"repetition_penalty": 100.0, "presence_penalty": 2.0}),
    (CHAT, {"repetition_penalty": 1e-9}),
    (CHAT, {"structured_outputs": {"grammar": "this is none"}}),
    (CHAT, {"structured_outputs": {"regex": "("}}),
    (CHAT, {"structured_outputs": {"json": {"type": "nonsense"}}}),
    (CHAT, {"structured_outputs": {"json": "{"}}),
    (CHAT, {"structured_outputs": {"choice": [""]}}),
    (CHAT, {"response_format": {"type": "json_object"}}),
    (CHAT, {"stop": ["<|end|>", "\u0000", "\U0001f600"]}),
    (CHAT, {"messages": [{"role": "tool", "content": "42"}]}),
    (CHAT, {"messages": [{"role": "assistant", "content": "I go on"}]}),
    (CHAT, {"messages": [{"role": "user", "content": ""}]}),
    (CHAT, {"messages": [{"role": "user", "content": "\u0000\ufffd\u202e"}]}),
    (CHAT, {"messages": [{"role": "user", "content": "<|feedback|><|end|><|assistant|>"}]}),
    (CHAT, {"messages": [{"role": "user", "content": "word " * 20_000}]}),
    (CHAT, {"refine": {"drafts": 8}, "max_completion_tokens": 9}),
    (CHAT, {"refine": {"token_budget": 0}}),
    (CHAT, {"refine": {"feedback": "<|refinement|>"}}),
    (CHAT, {"refine": {"feedback": "word " * 20_000}}),
    (COMPLETIONS, {"prompt": [10**6]}),
    (COMPLETIONS, {"prompt": [2**62]}),
    (COMPLETIONS, {"prompt": [0] * 5000}),
    (COMPLETIONS, {"prompt": "word " * 20_000}),
    (COMPLETIONS, {"prompt": "Hi", "refine": {"feedback": "No."}}),
    (COMPLETIONS, {"prompt": ["Hi", "Ho"], "echo": True}),
    (COMPLETIONS, {"prompt": "Hi", "n": 3, "logprobs": 2}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "fields"), ODD, ids=[f"{p} {str(f)[:50]}" for p, f in ODD])
def test_nothing_a_request_may_say_breaks_the_engine(
    program: Program, path: str, fields: dict[str, Any], stream: bool
) -> None:
    body: dict[str, Any] = {"max_tokens": 5, "stream": stream, **fields}
    if path == CHAT:
        body.setdefault("messages", [{"role": "user", "content": "Name four animals."}])
        short = {"feedback_sampling": {"max_tokens": 5}}
        body["refine"] = {**short, **fields.get("refine", {})}
    answer = httpx.post(program.url + path, json=body, timeout=PATIENCE_S)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    elif stream:
        assert '"error"' not in answer.text
    assert httpx.get(f"{program.url}/ready", timeout=PATIENCE_S).status_code == 200
