"""What collecting would take: calls, tokens, money; measured where the ledger has measurements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraft.server.engine.base import Chat
from redraft.train.asking import prompt_tokens
from redraft.train.data.ledger import read_entries
from redraft.train.data.records import Example
from redraft.train.engines import spec

if TYPE_CHECKING:
    from redraft.train.stages.collect import CollectOptions

# Completion tokens of one call where nothing was measured yet: Tulu2 answers AlpacaEval in about
# 250 tokens (paper Table 4: 993 characters); the critic writes about as much again twice over.
_ASSUMED = {"draft": 250, "teach": 600, "score": 300}
INSTRUCTION_TOKENS = 120  # where there are no instructions to count yet
_REQUEST_TOKENS = 180  # of the critic's request, beside instruction and response


@dataclass(frozen=True, slots=True)
class Line:
    """All calls of one kind."""

    kind: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    measured: bool


def estimate(options: CollectOptions, examples: Sequence[Example]) -> str:
    """What collecting from these would take, as text."""
    asked = sum(prompt_tokens(Chat(e.messages)) for e in examples) * options.drafts
    return table(planned(options, len(examples) * options.drafts, asked))


def table(lines: Sequence[Line]) -> str:
    rows = [
        f"  {line.kind:6} {line.calls:>9} calls {line.prompt_tokens:>12} prompt "
        f"{line.completion_tokens:>12} completion tokens  cost {line.cost:>10.2f}"
        f"  ({'from the ledger' if line.measured else 'assumed'} lengths)"
        for line in lines
    ]
    total = sum(line.cost for line in lines)
    tokens = sum(line.prompt_tokens + line.completion_tokens for line in lines)
    return "\n".join(["collect would take:", *rows, f"  total {tokens} tokens, cost {total:.2f}"])


def planned(options: CollectOptions, count: int, asked: int) -> list[Line]:
    """The calls for ``count`` drafts of instructions with ``asked`` tokens in all."""
    measured = lengths(Path(options.output) / "ledger.jsonl")
    length = {kind: measured.get(kind, tokens) for kind, tokens in _ASSUMED.items()}
    judged = asked + count * (_REQUEST_TOKENS + length["draft"])
    engines = {"draft": options.model, "teach": options.critic, "score": options.critic}
    calls = {"draft": (count, asked), "teach": (count, judged), "score": (2 * count, 2 * judged)}
    if options.critic.get("model") == "exact":
        calls = {"draft": calls["draft"]}
    elif not options.score:
        del calls["score"]
    return [
        _line(kind, number, prompt, length[kind], engines[kind], kind in measured)
        for kind, (number, prompt) in calls.items()
    ]


def _line(
    kind: str, calls: int, prompt: int, length: int, engine: Mapping[str, Any], measured: bool
) -> Line:
    price = spec(engine, "engine").price
    return Line(kind, calls, prompt, calls * length, price.of(prompt, calls * length), measured)


def lengths(ledger: Path) -> dict[str, int]:
    """Mean completion tokens of each kind of call, as far as the ledger has any."""
    counted: dict[str, list[int]] = defaultdict(list)
    if ledger.is_file():
        for entry in read_entries(ledger):
            counted[entry.kind].append(entry.completion_tokens)
    return {kind: sum(n) // len(n) for kind, n in counted.items()}
