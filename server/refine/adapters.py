"""Which adapter writes which phase, on one base model.

A small model loses as its own critic once its weights have been trained for drafting, and drafts
worse once they have been trained for feedback: with adapters each phase has weights of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from redraft.server.engine.base import Engine
from redraft.server.refine.asking import Ask, Asker
from redraft.server.refine.trace import Feedback, ResponseText


@dataclass(frozen=True, slots=True)
class PhaseAdapters:
    """The name of the adapter that writes each phase; None: the base model."""

    draft: str | None = None
    feedback: str | None = None
    refinement: str | None = None

    @classmethod
    def all(cls, name: str) -> PhaseAdapters:
        return cls(name, name, name)

    @classmethod
    def from_json(cls, section: Any) -> PhaseAdapters:
        """ValueError for anything but phases with names, paths or null."""
        if not isinstance(section, Mapping):
            raise ValueError(f"adapters is {section!r}, expected a name or null for each phase")
        if unknown := sorted(section.keys() - set(cls.__slots__)):
            known = ", ".join(cls.__slots__)
            raise ValueError(f"adapters has the phase {unknown[0]!r}; the phases are {known}")
        for phase, name in section.items():
            if not (name is None or (isinstance(name, str) and name)):
                raise ValueError(f"adapters.{phase} is {name!r}, expected a name, a path or null")
        return cls(**section)

    @property
    def names(self) -> tuple[str, ...]:
        """Each adapter once, in the order of the phases."""
        named = (self.draft, self.feedback, self.refinement)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def renamed(self, names: Mapping[str, str]) -> PhaseAdapters:
        """The same with other names: paths in a manifest become names of the engine."""
        values = {phase: getattr(self, phase) for phase in self.__slots__}
        return PhaseAdapters(**{p: None if n is None else names[n] for p, n in values.items()})


NO_ADAPTERS = PhaseAdapters()


class AdaptedAsker:
    """An asker whose phases are written by adapters."""

    def __init__(self, asker: Asker, adapters: PhaseAdapters) -> None:
        self._asker, self._adapters = asker, adapters

    @property
    def engine(self) -> Engine:
        return self._asker.engine

    @property
    def components(self) -> tuple[str, ...]:
        return self._asker.components

    async def draft(self) -> Ask:
        ask = await self._asker.draft()
        goes_on = self._adapters.draft == self._adapters.feedback
        return replace(ask, adapter=self._adapters.draft, marks=ask.marks if goes_on else ())

    async def feedback(self, response: ResponseText) -> Ask:
        ask = await self._asker.feedback(response)
        goes_on = self._adapters.feedback == self._adapters.refinement
        return replace(ask, adapter=self._adapters.feedback, marks=ask.marks if goes_on else ())

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        ask = await self._asker.refinement(response, feedback)
        return replace(ask, adapter=self._adapters.refinement)
