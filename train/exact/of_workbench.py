"""The workbench's instructions; with noise, a share of the critic's verdicts is wrong.

A wrong verdict is one a careless critic might give. A right response is called wrong by working
through the instruction with one thing in it misread, and the advice is wrong accordingly. A wrong
response is called right as if it said what the working arrives at. Whether a verdict is wrong, and
how, depends on the seed and the texts alone; a verdict that is wrong with little noise is wrong
with more.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

from redraft.train.critics import Taught
from redraft.train.exact.examiner import NONE, Judgement, Noise
from redraft.train.workbench import critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.families.family import Findings, steady_random
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import Task, UnknownInstruction, task_for

_TRIES = 200  # at misreading, half of them in one place
# What looking at an instruction raises that reads like one of the workbench's and has no answer:
# "Which two of these numbers add up to 9: 1, 2?"
_NO_ANSWER = (ArithmeticError, LookupError, ValueError)


@dataclass(frozen=True, slots=True)
class OfWorkbench:
    noise: Noise = NONE

    def judged(self, instruction: str, response: str) -> Judgement:
        findings = judged(instruction, response)
        return Judgement(findings.right, findings.score, findings.problems)

    def opinion(self, instruction: str, response: str) -> Taught:
        return opinion(instruction, response, self.noise)


def judged(instruction: str, response: str) -> Findings:
    """UnknownInstruction when it is none of the workbench's."""
    task = task_for(instruction)
    try:
        return judge(task, response)
    except _NO_ANSWER as error:
        raise UnknownInstruction(f"has no answer: {instruction[:80]!r}") from error


def opinion(instruction: str, response: str, noise: Noise) -> Taught:
    """UnknownInstruction when it is none of the workbench's."""
    right = judged(instruction, response).right
    task = task_for(instruction)
    rng = steady_random(str(noise.seed), instruction, response)
    if rng.random() >= noise.share:
        return Taught(critic.feedback(task, response), critic.refinement(task, response))
    if right:
        seen = misread(task, response, rng)
        return Taught(critic.feedback(seen, response), critic.refinement(seen, response))
    return Taught(critic.feedback(task, critic.refinement(task, response)), response)


def misread(task: Task, response: str, rng: random.Random) -> Task:
    """The task with one thing in it taken for another, so that a right response is wrong; where
    that cannot be, another task of its family."""
    for slots in itertools.islice(_misreadings(task, rng), _TRIES):
        seen = replace(task, slots=MappingProxyType(slots))
        try:
            if not judge(seen, response).right:
                return seen
        except _NO_ANSWER:
            continue
    raise AssertionError(f"no misreading of {task.instruction!r} makes {response!r} wrong")


def _misreadings(task: Task, rng: random.Random) -> Iterator[dict[str, str]]:
    family = FAMILIES[task.family]
    for _ in range(_TRIES // 2):
        slots, fresh = dict(task.slots), family.draw(rng)
        name = rng.choice([slot for slot in sorted(slots) if slot in fresh])
        slots[name] = _altered(slots[name], fresh[name], rng)
        if re.fullmatch(family.patterns[name], slots[name]):
            yield slots
    while True:
        yield family.normalise(family.draw(rng))


def _altered(text: str, other: str, rng: random.Random) -> str:
    """One number a little off, or one word taken from ``other``."""
    place = rng.choice(list(re.finditer(r"\w+", text)))
    if place[0].isdigit():
        instead = str(abs(int(place[0]) + rng.choice((-10, -2, -1, 1, 2, 10))))
    else:
        instead = rng.choice(re.findall(r"\w+", other))
    return text[: place.start()] + instead + text[place.end() :]
