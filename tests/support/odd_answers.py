"""What upstreams answer that no OpenAI client expects, for tests that nothing of it costs a draft.

    for odd in ODD: scene.next = [None, odd.answer]     # the second completion is odd

How to add one: a row in ``ODD``, with the text that a reader should get out of it, or None where
there is none to be had; tests/server/api/test_odd_upstreams.py asks it in every phase and dialect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.upstream import Refuse, Stream, event

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Odd:
    name: str
    answer: Stream | Refuse
    text: str | None = None  # what it says after all; None: the call fails

    @property
    def begins(self) -> bool:
        """Whether there is text before the odd part."""
        return isinstance(self.answer, Stream) and self.answer.data.startswith(PARIS)


def delta(finish: Any = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def raw(text: str) -> bytes:
    return b"data: " + text.encode() + b"\n\n"


def usage(**counts: Any) -> bytes:
    return event({"choices": [], "usage": counts})


BEGINNING = "Paris."
PARIS = delta(content=BEGINNING)
STOP = delta("stop")
WHOLE = PARIS + STOP
CALL = {"id": "call_1", "function": {"name": "look", "arguments": "{}"}}


def after(*events: bytes, then: str = "end") -> Stream:
    """A beginning, then these."""
    return Stream(b"".join([PARIS, *events]), then)


def ended(*events: bytes, then: str = "end") -> Stream:
    """A whole completion, then these."""
    return Stream(b"".join([WHOLE, *events]), then)


def calling(**call: Any) -> Stream:
    """A completion that calls a tool that nobody offered."""
    return after(delta(tool_calls=[{"index": 0, **CALL, **call}]), STOP, DONE)


def said(body: bytes, status: int = 200, then: str = "end") -> Stream:
    """An answer in one piece, as JSON."""
    return Stream(body, then, "application/json", status)


ODD = (
    # Text that is none.
    Odd("content is a number", Stream(delta(content=7) + STOP)),
    Odd("content is an object", after(delta(content={"text": "x"}), STOP)),
    Odd("content is a list of parts", after(delta(content=[{"type": "text", "text": "x"}]), STOP)),
    Odd("content is true", after(delta(content=True), STOP)),
    Odd("thoughts are an object", after(delta(reasoning={"text": "x"}), STOP)),
    Odd("a choice is null", after(event({"choices": [None]}))),
    Odd("choices are an object", after(event({"choices": {"0": {}}}))),
    Odd("a delta is a text", after(event({"choices": [{"delta": "Paris"}]}))),
    Odd("finish_reason is a number", after(delta(7))),
    Odd("an event is a list", after(event([1]))),
    Odd("an event is no JSON", after(raw("{garbage"))),
    Odd("an event is half of one", after(b'data: {"choices": [{"del')),
    Odd("an event is nested too deep", after(raw("[" * 100_000))),
    Odd("an event is not UTF-8", after(b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n')),
    Odd("token ids are negative", after(event({"choices": [{"text": "x", "token_ids": [-1]}]}))),
    # Halves of characters.
    Odd(
        "an emoji in two halves",
        Stream(
            raw(r'{"choices":[{"delta":{"content":"Paris \ud83d"}}]}')
            + raw(r'{"choices":[{"delta":{"content":"\ude00"}}]}')
            + STOP
            + DONE
        ),
        "Paris \N{GRINNING FACE}",
    ),
    Odd(
        "half an emoji",
        Stream(raw(r'{"choices":[{"delta":{"content":"Paris \ud83d"}}]}') + STOP + DONE),
        "Paris \N{REPLACEMENT CHARACTER}",
    ),
    Odd(
        "the other half of an emoji",
        Stream(raw(r'{"choices":[{"delta":{"content":"\ude00 Paris"}}]}') + STOP + DONE),
        "\N{REPLACEMENT CHARACTER} Paris",
    ),
    # Counts that cannot be.
    Odd("usage is negative", ended(usage(prompt_tokens=-5, completion_tokens=-9), DONE), "Paris."),
    Odd("usage is absurd", ended(usage(completion_tokens=10**30), DONE), "Paris."),
    Odd("usage is a text", ended(event({"choices": [], "usage": "much"}), DONE), "Paris."),
    Odd("usage counts in words", ended(usage(prompt_tokens="x", completion_tokens=[1])), "Paris."),
    Odd(
        "usage is infinite", ended(raw('{"choices":[],"usage":{"prompt_tokens":1e999}}')), "Paris."
    ),
    Odd(
        "usage has odd details",
        ended(usage(prompt_tokens_details=[1], completion_tokens_details="x"), DONE),
        "Paris.",
    ),
    Odd("no usage, no [DONE]", ended(), "Paris."),
    # Tool calls that nobody asked for, or that are none.
    Odd("a tool call is a text", after(delta(tool_calls=["look"]), STOP)),
    Odd("a tool call's index is a text", calling(index="first")),
    Odd("a tool call's index is absurd", calling(index=10**12)),
    Odd("a tool call's name is a number", calling(function={"name": 7})),
    Odd("a tool call's function is a list", calling(function=[1])),
    # Ends.
    Odd("finished twice", ended(delta("stop"), DONE), "Paris."),
    Odd("finished, then an error", ended(event({"error": {"message": "late"}})), "Paris."),
    Odd("finished, then garbage", ended(raw("{garbage")), "Paris."),
    Odd("finished, then lost", ended(then="cut"), "Paris."),
    Odd("never finished", after(DONE)),
    Odd("never finished, and lost", after(then="cut")),
    Odd("given up", after(delta("abort"), DONE)),
    Odd("withheld", after(delta("content_filter"), DONE)),
    Odd("nothing at all", Stream(b"")),
    Odd("only [DONE]", Stream(DONE)),
    # Errors.
    Odd("an error in the middle", after(event({"error": {"message": "out of memory"}}))),
    Odd("an error that is a text", after(event({"error": "no more"}))),
    Odd("an error with half an emoji", after(raw(r'{"error":{"message":"\ud83d","code":200}}'))),
    Odd("an error page", Stream(b"<html>Sign in</html>", content_type="text/html")),
    Odd("JSON that is no stream", Stream(b'{"choices": []}', content_type="application/json")),
    Odd("a status without a body", Refuse(500, None)),
    Odd("a status that is none", Refuse(799, {"error": {"message": "odd"}})),
    Odd("a redirection", Refuse(307, None, {"Location": "/elsewhere"})),
    Odd("an error nested too deep", said(b"[" * 100_000, 500)),
    Odd("an error that is half an emoji", said(rb'{"error": {"message": "\ud83d"}}', 503)),
    Odd("an odd wait", Refuse(503, {"error": "busy"}, {"Retry-After": "Mon, 99 +99999999"})),
)

# In place of an answer that is not streamed.
ODD_WHOLE: dict[str, Stream | Refuse] = {
    "no JSON": said(b"{garbage"),
    "half of it": said(b'{"choices": [{"mess', then="cut"),
    "nothing": said(b""),
    "a list": said(b"[]"),
    "no choices": said(b'{"object": "chat.completion"}'),
    "choices are null": said(b'{"choices": null}'),
    "nested too deep": said(b"[" * 100_000),
    "not UTF-8": said(b'{"choices": ["\xff"]}'),
    "an error page": Stream(b"<html>Sign in</html>", content_type="text/html"),
    "a stream": Stream(WHOLE),
    "an error that is a text": said(b'{"error": "no more"}', 500),
    "an error that is half an emoji": said(rb'{"error": {"message": "\ud83d"}}', 503),
    "an error nested too deep": said(b"[" * 100_000, 500),
    "a redirection": Refuse(307, None, {"Location": "/elsewhere"}),
    "a status that is none": Refuse(799, {"error": {"message": "odd"}}),
    "an odd wait": Refuse(503, {"error": "busy"}, {"Retry-After": "Mon, 99 +99999999"}),
    "an endless wait": Refuse(429, {"error": "busy"}, {"Retry-After": "1e12"}),
}
