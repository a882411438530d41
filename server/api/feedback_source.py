"""Decides who gives the feedback of one request: the model, a critic, checks, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from redraft.server.api.errors import ApiError, invalid
from redraft.server.api.schema.requests import RefineOptions
from redraft.server.refine.checks import MOST_CHECKS, Check, CheckError, read_check
from redraft.server.refine.policy import FeedbackBy
from redraft.server.service import Service

# With checks, when nobody says how often to refine: the loop ends when all of them hold.
CHECKED_ITERATIONS = 3


@dataclass(frozen=True, slots=True)
class FeedbackSource:
    """``critic``: the configured engine that writes feedback in the model's place."""

    by: FeedbackBy = "model"
    critic: str | None = None
    checks: tuple[Check, ...] = ()
    extracts: bool = False  # the model reads the checks out of the instruction

    @property
    def verifies(self) -> bool:
        return bool(self.checks) or self.extracts

    def scores(self, service: Service) -> bool:
        """Whether responses get scores."""
        writer = service.critics[self.critic] if self.critic else service.model
        return writer.scores if self.by == "model" else self.verifies


def read_source(at: str, options: RefineOptions, service: Service) -> FeedbackSource:
    """What the options say; ApiError where they are wrong or contradict each other."""
    checks, extracts = _checks(at, options.checks or [])
    named, critic = options.feedback_by, options.critic
    if critic is not None and critic not in service.critics:
        known = ", ".join(sorted(service.critics)) or "none"
        message = f"is not one of the critics of this server ({known})"
        raise invalid(f"{at}critic", f"{at}critic {message}")
    if named is None:
        by: FeedbackBy = "checks" if (checks or extracts) and critic is None else "model"
        return FeedbackSource(by, critic, checks, extracts)
    for by in get_args(FeedbackBy):
        if named != by:
            continue
        if critic is not None and by != "model":
            message = f"is {named!r}, and the critic {critic!r} is named; leave one of them out"
            raise _refused(at, message)
        if by == "checks" and not (checks or extracts):
            raise _refused(at, f"is 'checks', and there are none; give {at}checks")
        return FeedbackSource(by, critic, checks, extracts)
    if named not in service.critics:
        known = ", ".join((*get_args(FeedbackBy), *sorted(service.critics)))
        raise _refused(at, f"is {named[:60]!r}; on this server it is one of {known}")
    if critic not in (None, named):
        raise _refused(at, f"is {named!r}, and critic is {critic!r}; leave critic out")
    return FeedbackSource("model", named, checks, extracts)


def _checks(
    at: str, contents: list[dict[str, Any]] | Literal["auto"]
) -> tuple[tuple[Check, ...], bool]:
    """The checks, and whether the model reads them."""
    if contents == "auto":
        return (), True
    if len(contents) > MOST_CHECKS:
        message = f"{at}checks has {len(contents)} checks; {MOST_CHECKS} are allowed at most"
        raise invalid(f"{at}checks", message)
    checks = []
    for index, content in enumerate(contents):
        try:
            checks.append(read_check(content))
        except CheckError as error:
            param = f"{at}checks[{index}]"
            raise invalid(param, f"{param}: {error}") from None
    return tuple(checks), False


def _refused(at: str, message: str) -> ApiError:
    return invalid(f"{at}feedback_by", f"{at}feedback_by {message}")
