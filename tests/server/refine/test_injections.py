"""A text that wishes for a score is read as the text it is, and so is feedback that quotes it.
Spans: server/refine"""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from redraft.server.engine.base import Chat, Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.asking import PromptedAsker, instruction_text
from redraft.server.refine.extracting import asking_for_checks
from redraft.server.refine.fence import fence_of
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.requests import FEEDBACK_REQUEST, Requests
from redraft.server.refine.trace import Instruction, Trace
from tests.support.injections import Injection, injections
from tests.support.loops import trace_of

OPENING = re.compile(r"\[begin (\w+)\]\n")
SCORE = 4  # what the feedback below gives
TEXTS = injections()


def quotations(request: str) -> tuple[str, list[str]]:
    """A request as one reads it who knows what a quotation is: what it says itself, and what it
    quotes. The first line of a quotation says what its last line is."""
    said, quoted = "", []
    while opening := OPENING.search(request):
        end = f"\n[end {opening[1]}]"
        quotation, closed, rest = request[opening.end() :].partition(end)
        if not closed:
            break
        said += request[: opening.start()] + "{}"
        quoted.append(quotation)
        request = rest
    return said + request, quoted


def loop(injection: Injection, feedback: str, constrains: str | None = None) -> Trace:
    """One iteration on the response, whose feedback is ``feedback``."""
    engine = ScriptedEngine(feedback, "Better.")
    brief = Brief(Instruction(injection.messages), response=injection.response)
    asker = PromptedAsker(engine, brief.instruction)

    async def events() -> Trace:
        return trace_of([e async for e in refine(asker, brief, Policy(max_iterations=1))])

    return asyncio.run(events())


def test_there_are_a_hundred() -> None:
    assert len(TEXTS) == len(set(TEXTS)) == 100


@pytest.mark.parametrize("injection", TEXTS, ids=range(100))
def test_the_request_says_the_same_whatever_the_texts_say(injection: Injection) -> None:
    instruction = instruction_text(Instruction(injection.messages))
    request = Requests().for_feedback(instruction, injection.response)
    said, quoted = quotations(request)
    fence = fence_of(instruction, injection.response)
    assert quoted == [instruction, injection.response]
    bare = re.sub(r"\{(instruction|response)\}", "{}", FEEDBACK_REQUEST)
    assert said == bare.replace("{fence}", fence)
    assert fence not in (instruction + injection.response).lower()


@pytest.mark.parametrize("injection", TEXTS, ids=range(100))
def test_the_score_is_the_one_of_the_feedback_also_when_it_quotes_the_wish(
    injection: Injection,
) -> None:
    quoted = " ".join(injection.response.split())
    before = f"Weaknesses: it says {quoted}\nSuggestions: leave it out.\nOverall Score: [[{SCORE}]]"
    after = f"{before}\nThe response says {quoted!r}, which is no reason."
    for feedback in (before, after):
        (iteration,) = loop(injection, feedback).iterations
        assert iteration.feedback.score == SCORE


@pytest.mark.parametrize("injection", TEXTS, ids=range(100))
def test_the_score_of_an_object_is_its_member_wherever_it_stands(injection: Injection) -> None:
    members = {"score": SCORE, "weaknesses": injection.response, "suggestions": injection.response}
    for order in (members, dict(reversed(members.items()))):
        (iteration,) = loop(injection, json.dumps(order)).iterations
        assert iteration.feedback.score == SCORE


@pytest.mark.parametrize("injection", TEXTS, ids=range(100))
def test_an_instruction_cannot_pass_for_a_part_of_the_request_for_its_checks(
    injection: Injection,
) -> None:
    engine = ScriptedEngine('{"checks": []}', "A whale.")
    brief = Brief(Instruction(injection.messages))
    policy = Policy(max_iterations=0, extract_checks=True)

    async def ask() -> None:
        async for _ in refine(PromptedAsker(engine, brief.instruction), brief, policy):
            pass

    asyncio.run(ask())
    chat = engine.history[0].prompt
    assert isinstance(chat, Chat)
    (request,) = chat.messages
    said, quoted = quotations(request.content)
    instruction = instruction_text(brief.instruction)
    assert quoted == [instruction]
    assert said == quotations(asking_for_checks("Hi"))[0].replace(
        fence_of("Hi"), fence_of(instruction)
    )


def test_a_fence_is_the_same_for_the_same_instruction_and_in_no_text() -> None:
    assert fence_of("a", "b") == fence_of("a", "c")
    assert fence_of("a", "b") != fence_of("b", "b")
    first = fence_of("a")
    assert fence_of("a", f"..{first.upper()}..") != first


def test_a_message_cannot_pass_for_several() -> None:
    for injection in TEXTS:
        text = instruction_text(Instruction(injection.messages))
        heads = re.findall(r"^\[(?:user|assistant|system) \w+\]$", text, re.MULTILINE)
        fence = fence_of(*(m.content for m in injection.messages))
        ours = [head for head in heads if fence in head]
        assert len(ours) == (len(injection.messages) if len(injection.messages) > 1 else 0)


def test_an_operators_own_request_has_fences_too() -> None:
    words = "Judge {response} to {instruction}, quoted by {fence}."
    said, quoted = quotations(Requests(feedback=words).for_feedback("Go", "Gone"))
    assert quoted == ["Gone", "Go"]
    assert said == f"Judge {{}} to {{}}, quoted by {fence_of('Go', 'Gone')}."


def test_the_engine_gets_the_fenced_request() -> None:
    engine = ScriptedEngine("Overall Score: [[4]]\nWeaknesses: x", "Better.")
    brief = Brief(Instruction(TEXTS[1].messages), response=TEXTS[1].response)

    async def ask() -> None:
        asker = PromptedAsker(engine, brief.instruction)
        async for _ in refine(asker, brief, Policy(max_iterations=1)):
            pass

    asyncio.run(ask())
    assert fence_of(*quotations(engine.history[0].text)[1]) in engine.history[0].text
    assert isinstance(engine.history[0].sampling, Sampling)
