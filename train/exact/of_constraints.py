"""Instructions whose constraints programs verify. With noise, a share of the verdicts on single
constraints is wrong: what was found is told as it is, and called met where it is not, or the other
way round, with the advice that goes with it.

Whether a verdict is wrong depends on the seed, the texts and the constraint's place alone; one that
is wrong with little noise is wrong with more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from redraft.server.options import ConfigError
from redraft.server.refine.checks import KINDS, Check, Finding, verify, verify_all
from redraft.train.checks_critic import checks_of
from redraft.train.constraints import feedback
from redraft.train.critics import Taught
from redraft.train.data import instructions
from redraft.train.exact.examiner import NONE, Judgement, Noise
from redraft.train.paid_engine import Refused
from redraft.train.workbench.families.family import steady_random
from redraft.train.workbench.tasks import UnknownInstruction


@dataclass(frozen=True, slots=True)
class OfConstraints:
    checks: Mapping[str, tuple[Check, ...]]  # by instruction
    noise: Noise = NONE

    @classmethod
    def read(cls, path: Path, noise: Noise) -> Self:
        """ConfigError where an instruction has no checks that can be read."""
        examples = instructions.read((str(path),)).examples
        try:
            checks = {each.messages[-1].content.strip(): checks_of(each) for each in examples}
        except Refused as error:
            raise ConfigError(f"{path}: {error}") from error
        return cls(checks, noise)

    def judged(self, instruction: str, response: str) -> Judgement:
        findings = self._findings(instruction, response)
        problems = tuple(finding.line() for finding in findings if not finding.passed)
        return Judgement(not problems, feedback.score(findings), problems)

    def opinion(self, instruction: str, response: str) -> Taught:
        findings = self._findings(instruction, response)
        return Taught(
            feedback.feedback(
                [
                    _misjudged(finding) if self._wrong(instruction, response, place) else finding
                    for place, finding in enumerate(findings)
                ]
            ),
            refinement="",
        )

    def _findings(self, instruction: str, response: str) -> tuple[Finding, ...]:
        checks = self.checks.get(instruction.strip())
        if checks is None:
            raise UnknownInstruction(
                f"{instruction[:80]!r} is none of the {len(self.checks)} instructions whose "
                "constraints are known"
            )
        return verify_all(checks, response, instruction)

    def _wrong(self, instruction: str, response: str, place: int) -> bool:
        rng = steady_random(str(self.noise.seed), instruction, response, str(place))
        return rng.random() < self.noise.share


def _misjudged(finding: Finding) -> Finding:
    if not finding.passed:
        return replace(finding, passed=True, advice="")
    kind = KINDS[finding.check.kind]
    advice = verify(finding.check, kind.wrong, kind.instruction).advice
    return replace(finding, passed=False, advice=advice or f"See to it: {finding.says}.")
