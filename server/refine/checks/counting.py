"""The verdict of every kind of check that counts something."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redraft.server.refine.checks.arguments import Argument
from redraft.server.refine.checks.bounds import Bounds
from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed, passed
from redraft.server.refine.checks.evidence import counted, quotes
from redraft.server.refine.checks.splitting import Text

Items = Callable[[Text, Arguments], Sequence[str]]
Noun = str | Callable[[Arguments], str]


def count_kind(
    name: str,
    one: Noun,
    many: Noun,
    items: Items,
    *,
    example: Arguments,
    right: str,
    wrong: str,
    quoted: bool = True,  # whether the first items are the evidence
    arguments: tuple[Argument, ...] = (),
) -> Kind:
    """A kind that passes when the number of ``items`` is within its bounds."""

    def says(values: Arguments) -> str:
        return Bounds.of(values).in_words(_noun(one, values), _noun(many, values))

    def verify(text: Text, values: Arguments) -> Verified:
        parts = items(text, values)
        bounds, nouns = Bounds.of(values), (_noun(one, values), _noun(many, values))
        evidence = counted(len(parts), *nouns)
        if quoted and parts:
            evidence = f"{evidence}: {quotes(parts)}"
        if missing := bounds.missing(len(parts)):
            return failed(evidence, f"Add {counted(missing, *nouns)}.")
        if excess := bounds.excess(len(parts)):
            return failed(evidence, f"Remove {counted(excess, *nouns)}.")
        return passed(evidence)

    return Kind(name, says, verify, example, right, wrong, arguments, bounded=True, items=items)


def _noun(noun: Noun, values: Arguments) -> str:
    return noun if isinstance(noun, str) else noun(values)
