"""The HTTP engine against upstreams that are busy, broken, hostile or gone.
Spans: server/engine/http_engine"""

from __future__ import annotations

import json

import pytest

from redraft.server.engine.base import (
    Call,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    PromptTooLong,
    Sampling,
    Tokens,
    complete,
)
from redraft.server.engine.http_engine import HttpEngine
from tests.support.http_stage import CHAT, ask, failure, stage, with_engine
from tests.support.upstream import Refuse, Scene, Stream, event, words_then

__all__ = ["stage"]  # a fixture, used by being here

# -- trying again -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_a_busy_upstream_is_asked_again(status: int) -> None:
    scene = Scene("Paris")
    scene.next = [Refuse(status), Refuse(status)]
    assert ask(scene).text == "Paris"
    ids = [a.headers["x-request-id"] for a in scene.completions()]
    assert ids == ["test", "test-t1", "test-t2"]


def test_retries_end() -> None:
    scene = Scene()
    scene.next = [Refuse(503, {"error": {"message": "all busy"}})] * 9
    assert "answered 503 to a completion: all busy" in failure(scene, EngineUnavailable, retries=2)
    assert len(scene.completions()) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"},
        {"x-should-retry": "false"},
    ],
)
def test_an_upstream_that_wants_to_be_left_alone_is(headers: dict[str, str]) -> None:
    scene = Scene()
    scene.next = [Refuse(429, headers=headers)]
    failure(scene, EngineUnavailable)
    assert len(scene.completions()) == 1


@pytest.mark.parametrize("headers", [{"retry-after-ms": "1"}, {"Retry-After": "0"}])
def test_a_short_wait_the_upstream_asks_for_is_waited(headers: dict[str, str]) -> None:
    scene = Scene("Paris")
    scene.next = [Refuse(429, headers=headers)]
    assert ask(scene).text == "Paris"


def test_retries_stop_at_the_callers_deadline() -> None:
    scene = Scene()
    scene.next = [Refuse(503, headers={"Retry-After": "50"})]
    failure(scene, EngineUnavailable, call=Call("test", timeout_s=40.0))
    assert len(scene.completions()) == 1


def test_nothing_is_tried_again_once_there_was_a_token() -> None:
    scene = Scene("never said", vllm=False)
    scene.next = [Stream(words_then(b"", "Par"), "cut")]
    failure(scene, EngineUnavailable)
    assert len(scene.completions()) == 1


def test_a_connection_cut_before_the_first_token_is_tried_again() -> None:
    scene = Scene("Paris")
    scene.next = [Stream(b"", "cut"), Stream(b": keep-alive\n\n", "cut")]
    assert ask(scene).text == "Paris"


def test_parameters_a_hosted_model_does_not_take_are_left_out_from_then_on() -> None:
    def refusal(param: str, code: str) -> Refuse:
        message = f"Unsupported: {param!r} is not supported with this model."
        return Refuse(400, {"error": {"message": message, "param": param, "code": code}})

    async def twice(engine: HttpEngine) -> list[str]:
        sampling = Sampling(max_tokens=9, temperature=0.0, stop=(" or",))
        return [(await complete(engine, CHAT, sampling, Call(f"r{i}"))).text for i in (1, 2)]

    scene = Scene("Paris or Rome", "Paris or Bonn", vllm=False)
    scene.next = [
        refusal("max_tokens", "unsupported_parameter"),
        refusal("temperature", "unsupported_value"),
        refusal("stop", "unsupported_parameter"),
    ]
    assert with_engine(scene, twice) == ["Paris", "Paris"]
    last = scene.completions()[-1].body
    assert last["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature", "stop"} & set(last)
    assert len(scene.completions()) == 5


# -- failures ---------------------------------------------------------------------------------

STOPPED = event({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("data", "then", "told"),
    [
        (words_then(b"", "Par"), "cut", "lost the upstream"),
        (words_then(b"", "Par"), "end", "ended in the middle"),
        (words_then(b"data: [DONE]\n\n", "Par"), "end", "ended in the middle"),
        (words_then(b"data: {garbage\n\n", "Par"), "end", "malformed event: '{garbage'"),
        (words_then(b"data: [1]\n\n", "Par"), "end", "malformed event"),
        (words_then(b"data: " + b"[" * 100_000 + b"\n\n", "Par"), "end", "malformed event"),
        (words_then(b'data: {"choices": [{"delta": 7}]}\n\n', "Par"), "end", "malformed event"),
        (
            words_then(event({"error": {"message": "out of memory", "code": 500}}), "Par"),
            "end",
            "out of memory",
        ),
        (
            words_then(event({"choices": [{"delta": {}, "finish_reason": "abort"}]}), "Par"),
            "end",
            "gave the completion up",
        ),
        (event({"choices": []}) + b"data: [DONE]\n\n", "end", "before the first token"),
        (
            event({"choices": [], "usage": {"prompt_tokens": 3}}) + b"data: [DONE]\n\n",
            "end",
            "before the first token",
        ),
    ],
)
def test_a_broken_stream_is_an_unavailable_engine(data: bytes, then: str, told: str) -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(data, then)]
    assert told in failure(scene, EngineUnavailable, retries=0)


def test_a_stream_that_falls_silent_is_an_unavailable_engine() -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(words_then(b"", "Par"), "hang")]
    assert "nothing for 0.2 s" in failure(scene, EngineUnavailable, retries=0, between_s=0.2)


def test_a_stream_that_is_none_is_an_unavailable_engine() -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(b"<html>Sign in</html>", content_type="text/html")]
    told = failure(scene, EngineUnavailable)
    assert "text/html" in told
    assert "Sign in" in told


def test_a_first_token_that_does_not_come_is_not_waited_for_forever() -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(b"", "hang")]
    # "sent nothing for", or "did not answer within": whichever the wait was in.
    assert "0.4 s" in failure(scene, EngineUnavailable, retries=0, first_token_s=0.4)


def test_a_model_may_think_longer_before_its_first_token_than_between_two() -> None:
    scene = Scene(vllm=False)
    role = event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
    scene.next = [Stream(role, "hang")]
    told = failure(scene, EngineUnavailable, retries=0, first_token_s=0.4, between_s=0.01)
    assert "0.4 s" in told


def test_the_callers_deadline_bounds_the_wait_for_the_first_token() -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(b"", "hang")]
    failure(scene, EngineUnavailable, call=Call("test", timeout_s=0.2))


@pytest.mark.parametrize(
    ("refuse", "kind", "told"),
    [
        (
            Refuse(400, {"error": {"message": "no", "code": "context_length_exceeded"}}),
            PromptTooLong,
            "no",
        ),
        (
            Refuse(400, {"error": {"message": "This model's maximum context length is 8"}}),
            PromptTooLong,
            "maximum context length is 8",
        ),
        (Refuse(400, {"error": {"message": "bad grammar", "code": 400}}), EngineRefused, "bad"),
        (Refuse(422, {"detail": [{"msg": "field required"}]}), EngineRefused, "field required"),
        (Refuse(400, {"error": "just text"}), EngineRefused, "just text"),
        (Refuse(400, ["odd"]), EngineRefused, "odd"),
        (Refuse(403, {"error": {"message": "no"}}), EngineUnavailable, "check the upstream's URL"),
        (Refuse(404, {"error": {"message": "no"}}), EngineUnavailable, "check the upstream's URL"),
    ],
)
def test_a_refusal_says_what_is_wrong(refuse: Refuse, kind: type[EngineError], told: str) -> None:
    scene = Scene(vllm=False)
    scene.next = [refuse]
    assert told in failure(scene, kind)
    assert len(scene.completions()) == 1


def test_an_upstream_that_counts_nothing_is_counted_for() -> None:
    scene = Scene("Paris it is")
    scene.usage_told = False
    usage = ask(scene, Tokens((1001, 1002))).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 4)


@pytest.mark.parametrize("counts", [{"completion_tokens": -3}, {"completion_tokens": 10**30}])
def test_counts_that_cannot_be_are_replaced_by_our_own(counts: dict[str, int]) -> None:
    scene = Scene(vllm=False)
    told = event({"choices": [], "usage": counts})
    scene.next = [Stream(words_then(STOPPED + told, "Paris", " it", " is"))]
    assert ask(scene).usage.completion_tokens == 3


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    def delta(call_id: str, arguments: object) -> bytes:
        call = {"id": call_id, "function": {"name": "look", "arguments": arguments}}
        return event({"choices": [{"delta": {"tool_calls": [call]}}]})

    scene = Scene(vllm=False)
    scene.next = [Stream(delta("a", '{"at": 1}') + delta("b", {"at": 2}) + STOPPED)]
    calls = ask(scene).tool_calls
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [
        ("a", '{"at": 1}'),
        ("b", '{"at": 2}'),
    ]


@pytest.mark.parametrize(
    "tokenized",
    [
        [],
        {"tokens": [1, 2], "token_strs": ["a"]},
        {"tokens": [1.5], "token_strs": ["a"]},
        {"tokens": [1], "token_strs": [None]},
        {"tokens": "12", "token_strs": "ab"},
    ],
)
def test_tokens_that_are_none_are_an_unavailable_engine(tokenized: object) -> None:
    scene = Scene()

    async def encode(engine: HttpEngine) -> None:
        scene.tokenized = tokenized
        await engine.encode("word")

    with pytest.raises(EngineUnavailable, match="answered no tokens"):
        with_engine(scene, encode)


def test_a_models_thinking_is_neither_text_nor_tokens_of_the_text() -> None:
    def delta(**fields: str) -> bytes:
        return event({"choices": [{"delta": fields, "token_ids": [1001]}]})

    scene = Scene()
    scene.next = [Stream(delta(reasoning="hm") + delta(content="Paris") + STOPPED)]
    completion = ask(scene)
    assert (completion.text, completion.token_ids) == ("Paris", ())


def test_text_with_every_kind_of_line_end_arrives_whole() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\r\nf"
    data = json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False).encode()
    scene = Scene(vllm=False)
    scene.next = [Stream(b"data: " + data + b"\r\n\r\n" + STOPPED)]
    assert ask(scene).text == text
