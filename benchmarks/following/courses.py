"""What became of one prompt: its draft, the responses after it, the verdicts, the cost.

course = PromptCourse.of(reply)                a body of /v1/refine with its trace
course = PromptCourse.direct(reply)            a chat completion, which has an answer only
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from redraft.server.refine.srt_format import HIGHEST_SCORE


@dataclass(frozen=True, slots=True)
class PromptCourse:
    """One prompt, from its draft to its answer."""

    draft: str  # the first, which is what a direct answer would be
    responses: tuple[str, ...]  # the draft that is refined, then each refinement
    answer: str
    first_score: int | None  # of feedback; None: no feedback, or none with a score
    num_feedbacks: int  # that could be read
    num_malformed: int  # attempts at feedback that could not
    stop_reason: str
    draft_tokens: int
    tokens: int  # generated, all drafts and phases
    draft_seconds: float = 0.0  # 0: not told
    seconds: float = 0.0  # of all phases
    draft_read: int = 0  # prompt tokens of the draft that no cache had
    read: int = 0  # of all phases

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Self:
        trace, iterations = reply["trace"], reply["trace"]["iterations"]
        drafts = trace["drafts"]
        refinements = [each["refinement"]["text"] for each in iterations if each["refinement"]]
        scores = [each["feedback"]["score"] for each in iterations if each["feedback"]["text"]]
        phases = reply["usage"].get("phases", {})
        read = {
            phase: used.get("prompt_tokens", 0) - used.get("cached_tokens", 0)
            for phase, used in phases.items()
        }
        return cls(
            draft=drafts[0]["text"],
            responses=(drafts[trace["picked"]]["text"], *refinements),
            answer=reply["answer"],
            first_score=scores[0] if scores else None,
            num_feedbacks=len(scores),
            num_malformed=trace["malformed"],
            stop_reason=reply["stop_reason"],
            draft_tokens=drafts[0]["tokens"],
            tokens=reply["usage"]["completion_tokens"],
            draft_seconds=phases.get("draft", {}).get("seconds", 0.0),
            seconds=sum(each["seconds"] for each in phases.values()),
            draft_read=read.get("draft", 0),
            read=sum(read.values()),
        )

    @classmethod
    def direct(cls, reply: Mapping[str, Any]) -> Self:
        (choice,) = reply["choices"]
        text = choice["message"].get("content") or ""
        tokens = reply.get("usage", {}).get("completion_tokens", 0)
        return cls(text, (text,), text, None, 0, 0, choice["finish_reason"], tokens, tokens)

    def after(self, iterations: int) -> str:
        """The response after so many iterations; the last one, where the loop ended before."""
        return self.responses[min(iterations, len(self.responses) - 1)]

    @property
    def asked_for_feedback(self) -> bool:
        return self.num_feedbacks + self.num_malformed > 0

    @property
    def readable(self) -> bool:
        return self.num_feedbacks > 0

    @property
    def called_right(self) -> bool:
        """Whether nothing is found to mend in the draft."""
        if self.stop_reason == "checks_passed" and len(self.responses) == 1:
            return True
        return self.first_score == HIGHEST_SCORE

    @property
    def called_wrong(self) -> bool:
        return self.first_score is not None and not self.called_right

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text to grade."""
        return (self.draft, *self.responses, self.answer)
