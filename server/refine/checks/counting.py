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

    def says(given: Arguments) -> str:
        return Bounds.of(given).in_words(_noun(one, given), _noun(many, given))

    def verify(text: Text, given: Arguments) -> Verified:
        found = items(text, given)
        bounds, nouns = Bounds.of(given), (_noun(one, given), _noun(many, given))
        evidence = counted(len(found), *nouns)
        if quoted and found:
            evidence = f"{evidence}: {quotes(found)}"
        if missing := bounds.missing(len(found)):
            return failed(evidence, f"Add {counted(missing, *nouns)}.")
        if excess := bounds.excess(len(found)):
            return failed(evidence, f"Remove {counted(excess, *nouns)}.")
        return passed(evidence)

    return Kind(name, says, verify, example, right, wrong, arguments, bounded=True, items=items)


def _noun(noun: Noun, given: Arguments) -> str:
    return noun if isinstance(noun, str) else noun(given)
