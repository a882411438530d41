"""Extracting: reads the checks out of an instruction, with the model that answers it.

The instruction is quoted within a fence, so that it cannot pass for a part of the request. The
engine holds the model to the schema of checks; what is not a valid check all the same, or comes
after the text was cut short, is left out. The answer has the checks that were read.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

from redraft.server.engine.base import Chat, Constraint, Engine, Message, PromptTooLong, Sampling
from redraft.server.engine.strict_json import refuse
from redraft.server.refine.asking import Ask, instruction_text
from redraft.server.refine.checks import KINDS, Check, CheckError, read_check, says
from redraft.server.refine.checks.schema import NOT_READ, extraction_schema
from redraft.server.refine.fence import fence_of, fenced
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import Policy
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Instruction

MOST_TOKENS = 384

REQUEST = """\
Which of these requirements does the instruction below make of the form of its answer? Each is \
written as a JSON object:
{kinds}

### Instruction
{instruction}

### Requirements
The instruction is quoted above between [begin {fence}] and [end {fence}]. \
Write a JSON object with one member, "checks": the list of the requirements that the \
instruction states, with its own numbers and words. Leave out what it does not ask for; the list \
may be empty."""


async def with_extracted(
    policy: Policy, engine: Engine, phases: Phases, instruction: Instruction
) -> Policy:
    """The policy, with the checks of the instruction. Without any, the model gives the feedback
    that checks should have given."""
    checks = await _extracted(engine, phases, instruction)
    if not checks and policy.feedback_by == "checks":
        return replace(policy, checks=checks, feedback_by="model")
    return replace(policy, checks=checks)


async def _extracted(engine: Engine, phases: Phases, instruction: Instruction) -> tuple[Check, ...]:
    request = asking_for_checks(instruction_text(instruction))
    sampling = Sampling(temperature=0.0, max_tokens=MOST_TOKENS, constraint=_constraint())
    ask = Ask(Chat((Message("user", request),)))
    # It counts as feedback: it is how feedback begins.
    try:
        written = await phases.whole(engine, ask, Step("feedback", sampling))
    except PromptTooLong:  # the list of kinds is long, and the window short
        return ()
    except Stop:  # an interruption ends the draft, too; a spent budget may leave one
        return ()
    return read(written.text)


def asking_for_checks(instruction: str) -> str:
    fence = fence_of(instruction)
    return REQUEST.format(kinds=_kinds(), instruction=fenced(instruction, fence), fence=fence)


def read(text: str) -> tuple[Check, ...]:
    """The valid checks in what a model wrote, each once."""
    checks: list[Check] = []
    for content in _objects(text):
        try:
            check = read_check(content)
        except CheckError:
            continue
        if check not in checks:
            checks.append(check)
    return tuple(checks)


def _objects(text: str) -> list[object]:
    """The elements of the list "checks"; those before the cut when the text was cut short."""
    decoder, contents = json.JSONDecoder(strict=False, parse_constant=refuse), []
    at = text.find("[") + 1
    while at and (start := text.find("{", at)) >= 0:
        try:
            content, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        contents.append(content)
    return contents


@cache
def _constraint() -> Constraint:
    return Constraint("json_schema", json.dumps(extraction_schema()))


@cache
def _kinds() -> str:
    lines = []
    for kind in KINDS.values():
        if kind.name not in NOT_READ:
            example = Check(kind.name, kind.example)
            lines.append(f"{json.dumps(example.to_json(), ensure_ascii=False)}: {says(example)}")
    return "\n".join(lines)
