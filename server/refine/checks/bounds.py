"""Bounds: how many of something a check allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redraft.server.refine.checks.arguments import LARGEST, CheckError, read_whole, shown

NAMES = ("at_least", "at_most", "exactly", "between")
_COUNT = {"type": "integer", "minimum": 0, "maximum": LARGEST}
SCHEMAS: dict[str, dict[str, Any]] = {
    "at_least": _COUNT,
    "at_most": _COUNT,
    "exactly": _COUNT,
    "between": {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2},
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """From ``least`` to ``most``, both included; None: no limit."""

    least: int | None = None
    most: int | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Bounds:
        """Of arguments that ``read`` has accepted."""
        if "exactly" in arguments:
            return cls(arguments["exactly"], arguments["exactly"])
        if "between" in arguments:
            return cls(*arguments["between"])
        return cls(arguments.get("at_least"), arguments.get("at_most"))

    def allow(self, count: int) -> bool:
        return self.missing(count) == 0 and self.excess(count) == 0

    def missing(self, count: int) -> int:
        return max(0, (self.least or 0) - count)

    def excess(self, count: int) -> int:
        return 0 if self.most is None else max(0, count - self.most)

    def in_words(self, one: str, many: str) -> str:
        """ "at least 50 words" """
        number = self.most if self.most is not None else self.least
        noun = one if number == 1 else many
        if self.most == 0:
            return f"no {many}"
        if self.least == self.most:
            return f"exactly {self.least} {noun}"
        if self.least is None:
            return f"at most {self.most} {noun}"
        if self.most is None:
            return f"at least {self.least} {noun}"
        return f"between {self.least} and {self.most} {noun}"


def read(values: Mapping[str, Any]) -> dict[str, Any]:
    """The bounds among the arguments of a check; CheckError unless they make one range."""
    limits: dict[str, Any] = {}
    for name in NAMES:
        if name not in values:
            continue
        value = values[name]
        if name != "between":
            limits[name] = read_whole(name, value)
        elif isinstance(value, list) and len(value) == 2:
            limits[name] = [read_whole(name, each) for each in value]
        else:
            raise CheckError(f"between is {shown(value)}; it should be two numbers, as [3, 5]")
    if not limits or (len(limits) > 1 and limits.keys() != {"at_least", "at_most"}):
        got = " and ".join(limits) or "none"
        raise CheckError(
            f"got {got} of the bounds; expected at_least, at_most or both, exactly, or between"
        )
    bounds = Bounds.of(limits)
    if bounds.least is not None and bounds.most is not None and bounds.least > bounds.most:
        raise CheckError(f"nothing is from {bounds.least} to {bounds.most}; give the lower first")
    return limits
