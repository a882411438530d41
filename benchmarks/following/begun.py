"""Loops that were recorded before and are taken up: what was written is given as the response to
improve, and only what follows is asked for.

    begun = Begun(reply, {"max_iterations": 3})      reply: a loop of one iteration
    begun.body({"prompt": ...})                      asks for two more
    begun.joined(await session.post("refine", ...))  as if all three had been asked for at once

Right for greedy loops, which write the same either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Reply = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Begun:
    """A recorded loop, and the options of the one that takes it up. One that does nothing but
    iterate longer goes on after the last refinement, any other after the draft."""

    reply: Reply
    refine: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """There is nothing to take up: the longer loop would have ended here, too."""
        return self._iterates and self.reply["stop_reason"] != "max_iterations"

    @property
    def empty(self) -> bool:
        """Nothing was written last, and no server takes that as a response: ask from the start."""
        return not self._response["text"]

    @property
    def whole(self) -> dict[str, Any]:
        """The reply of a loop that had ended. What a card keeps of it is not all of it."""
        texts = [self._draft["text"], *(each["refinement"]["text"] for each in self._refined)]
        answer = self.reply["answer"]
        kept = texts.index(answer) if answer in texts else 0
        return {"scores": self._scores, "kept": kept, **self.reply}

    def body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        left = self.refine["max_iterations"] - len(self._iterations)
        given = {"max_iterations": left, "response": self._response["text"]}
        # A temperature is that of drafts, and is refused where none is written.
        return {key: value for key, value in body.items() if key != "temperature"} | given

    def joined(self, more: Reply) -> dict[str, Any]:
        trace = more["trace"]
        phases: dict[str, Counter[str]] = {}
        for usage in (self._phases, more["usage"]["phases"]):
            for phase, counts in usage.items():
                phases[phase] = phases.get(phase, Counter()) + Counter(counts)
        total = Counter[str]()
        for counts in phases.values():
            total += counts
        return {
            **more,
            "scores": self._scores[: len(self._iterations)] + more["scores"],
            "kept": more["kept"] + len(self._iterations),
            "usage": {
                "prompt_tokens": total["prompt_tokens"],
                "completion_tokens": total["completion_tokens"],
                "phases": phases,
            },
            "trace": {
                **trace,
                "drafts": self.reply["trace"]["drafts"],
                "picked": self.reply["trace"]["picked"],
                "iterations": [*self._iterations, *trace["iterations"]],
            },
            "taken_up_after": len(self._iterations),
        }

    @property
    def _iterates(self) -> bool:
        return self.refine.keys() == {"max_iterations"}

    @property
    def _iterations(self) -> list[Any]:
        return [*self.reply["trace"]["iterations"]] if self._iterates else []

    @property
    def _scores(self) -> list[int | None]:
        return [each["feedback"]["score"] for each in self.reply["trace"]["iterations"]]

    @property
    def _draft(self) -> Mapping[str, Any]:
        trace = self.reply["trace"]
        draft: Mapping[str, Any] = trace["drafts"][trace["picked"]]
        return draft

    @property
    def _refined(self) -> list[Any]:
        return [each for each in self._iterations if each["refinement"]]

    @property
    def _response(self) -> Mapping[str, Any]:
        last: Mapping[str, Any] = self._refined[-1]["refinement"] if self._refined else self._draft
        return last

    @property
    def _phases(self) -> Mapping[str, Mapping[str, float]]:
        phases: Mapping[str, Mapping[str, float]] = self.reply["usage"]["phases"]
        return phases if self._iterates else {"draft": phases["draft"]}
