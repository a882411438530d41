"""Policy: how often to refine, which response to keep, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from redraft.server.engine.base import Sampling
from redraft.server.refine.checks import Check
from redraft.server.refine.trace import Limit, Phase

Keep = Literal["best", "last", "vote"]
Combine = Literal["best", "candidates"]
Think = Literal["draft", "all", "none"]
# The model, or a critic in its place; the findings of checks alone; nobody.
FeedbackBy = Literal["model", "checks", "off"]

PAPER_DRAFT_TEMPERATURE = 0.7  # SRT section 4.1; feedback and refinements are greedy there
FEEDBACK_ATTEMPTS = 2  # at feedback that cannot be read
RETRY_TEMPERATURE = 0.7  # a greedy model would write the same malformed feedback again
VOTE_TEMPERATURE = 0.7  # all votes of a greedy model would be the same


@dataclass(frozen=True, slots=True)
class Policy:
    """The options of one request, complete. The defaults are the paper's setting."""

    max_iterations: int = 1
    good_enough: int | None = None  # a response with this score is not refined any further
    keep: Keep = "last"
    drafts: int = 1
    combine: Combine = "best"  # what is refined: the best of the drafts, or all of them together
    subset: int | None = None  # candidates that one refinement sees, drawn at random; None: all
    feedback_only: bool = False  # the first feedback ends the loop
    feedback_by: FeedbackBy = "model"
    checks: tuple[Check, ...] = ()  # the loop ends when a response passes all of them
    extract_checks: bool = False  # the model reads them out of the instruction
    feedback_votes: int = 1  # feedbacks on one response, of which the majority decides
    token_budget: int | None = None  # completion tokens that may be spent beyond the first draft
    budget_by: Limit = "token_budget"  # the limit that the budget stands for
    total_tokens: int | None = None  # completion tokens of everything, the first draft included
    response_tokens: int | None = None  # most of a draft or refinement whose sampling names none
    feedback_tokens: int | None = None  # likewise
    one_breath: bool = False  # phases that are sampled alike may be one generation
    end_repetition: bool = True  # a text that repeats a passage again and again ends
    think: Think | None = None  # which phases a reasoning model thinks in; None: drafts, if it does
    think_tokens: int | None = None  # most tokens of thoughts in one phase
    seed: int | None = None
    draft: Sampling = field(default_factory=Sampling)
    feedback: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    refinement: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))

    def __post_init__(self) -> None:
        if self.max_iterations < 0:
            raise ValueError(f"max_iterations is {self.max_iterations}; it starts at 0")
        if self.drafts < 1:
            raise ValueError(f"drafts is {self.drafts}; at least one is needed")
        if self.combine == "candidates" and self.drafts < 2:
            raise ValueError(f"drafts is {self.drafts}; at least two are needed to combine them")
        if self.subset is not None and not 1 <= self.subset <= self.drafts:
            raise ValueError(f"subset is {self.subset}; it goes from 1 to the {self.drafts} drafts")
        if self.feedback_votes < 1:
            raise ValueError(f"feedback_votes is {self.feedback_votes}; at least one is needed")
        if self.good_enough is not None and not 1 <= self.good_enough <= 10:
            raise ValueError(f"good_enough is {self.good_enough}; scores go from 1 to 10")
        if self.token_budget is not None and self.token_budget < 0:
            raise ValueError(f"token_budget is {self.token_budget}; it starts at 0")
        if self.total_tokens is not None and self.total_tokens < 1:
            raise ValueError(f"total_tokens is {self.total_tokens}; at least one is needed")

    @property
    def verifies(self) -> bool:
        return bool(self.checks) or self.extract_checks

    @property
    def refines(self) -> bool:
        """False when the only draft is the answer, and nothing is said about it."""
        return self.max_iterations > 0 or self.drafts > 1 or self.verifies

    def most_tokens(self, phase: Phase) -> int | None:
        """Of a phase whose sampling names none. An answer without refinement is the engine's own,
        which has the window for itself."""
        if not self.refines:
            return None
        return self.feedback_tokens if phase == "feedback" else self.response_tokens

    def thinks(self, phase: Phase) -> bool | None:
        """Whether a reasoning model is to think in a phase; None: as it does by itself."""
        if self.think in ("all", "none"):
            return self.think == "all"
        return bool(self.think) or None if phase == "draft" else False

    def seed_for(
        self, phase: Phase, iteration: int, candidate: int, attempt: int, vote: int = 0
    ) -> int | None:
        """A different seed for each engine call: with the same seed all drafts would be equal. A
        second attempt has one without a seed, too: a request that is greedy has one answer."""
        if self.seed is None and attempt == 1:
            return None
        name = f"{self.seed}/{phase}/{iteration}/{candidate}/{attempt}"
        name += f"/{vote}" if vote else ""
        return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big") & 0x7FFFFFFF
