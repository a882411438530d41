"""What collecting would take: calls, tokens, money; measured where the ledger has measurements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.train.data.ledger import read_entries
from redraft.train.engines import EngineSpec

# Completion tokens of one call where nothing was measured yet: Tulu2 answers AlpacaEval in about
# 250 tokens (paper Table 4: 993 characters); the critic writes about as much again twice over.
_ASSUMED = {"draft": 250, "teach": 600, "score": 300}
INSTRUCTION_TOKENS = 120  # where there are no instructions to count yet
_REQUEST_TOKENS = 180  # of the critic's request, beside instruction and response


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """All calls of one kind."""

    kind: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    measured: bool


def estimate(
    ledger: Path,
    drafter: EngineSpec,
    critic: EngineSpec | None,
    *,
    drafts: int,
    instruction_tokens: int,
    score: bool,
) -> list[CallEstimate]:
    """The calls for so many drafts, of instructions with so many tokens in all; no critic: it
    costs nothing."""
    measured = mean_lengths(ledger)
    length = {kind: measured.get(kind, tokens) for kind, tokens in _ASSUMED.items()}

    def calls_of(kind: str, engine: EngineSpec, calls: int, prompt_tokens: int) -> CallEstimate:
        completion_tokens = calls * length[kind]
        cost = engine.price.of(prompt_tokens, completion_tokens)
        return CallEstimate(kind, calls, prompt_tokens, completion_tokens, cost, kind in measured)

    estimates = [calls_of("draft", drafter, drafts, instruction_tokens)]
    if critic is not None:
        request_tokens = instruction_tokens + drafts * (_REQUEST_TOKENS + length["draft"])
        estimates.append(calls_of("teach", critic, drafts, request_tokens))
        if score:
            estimates.append(calls_of("score", critic, 2 * drafts, 2 * request_tokens))
    return estimates


def table(estimates: Sequence[CallEstimate]) -> str:
    rows = [
        f"  {line.kind:6} {line.calls:>9} calls {line.prompt_tokens:>12} prompt "
        f"{line.completion_tokens:>12} completion tokens  cost {line.cost:>10.2f}"
        f"  ({'from the ledger' if line.measured else 'assumed'} lengths)"
        for line in estimates
    ]
    total = sum(line.cost for line in estimates)
    tokens = sum(line.prompt_tokens + line.completion_tokens for line in estimates)
    return "\n".join(["collect would take:", *rows, f"  total {tokens} tokens, cost {total:.2f}"])


def mean_lengths(ledger: Path) -> dict[str, int]:
    """Mean completion tokens of each kind of call, as far as the ledger has any."""
    lengths: dict[str, list[int]] = defaultdict(list)
    if ledger.is_file():
        for entry in read_entries(ledger):
            lengths[entry.kind].append(entry.completion_tokens)
    return {kind: sum(counts) // len(counts) for kind, counts in lengths.items()}
