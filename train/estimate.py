"""What collecting would take: calls, tokens, money; measured where the ledger has measurements."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from redraft.train.collector import CollectOptions
from redraft.train.data.ledger import read_entries
from redraft.train.engines import EngineSpec, spec

# Completion tokens of one call where nothing was measured yet: Tulu2 answers AlpacaEval in about
# 250 tokens (paper Table 4: 993 characters); the critic writes about as much again twice over.
_ASSUMED = {"draft": 250, "teach": 600, "score": 300}
INSTRUCTION_TOKENS = 120  # where there are no instructions to count yet
_REQUEST_TOKENS = 180  # of the critic's request, beside instruction and response


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """All calls of one kind."""

    kind: str
    engine: EngineSpec
    calls: int
    prompt_tokens: int
    completion_tokens: int
    measured: bool

    @property
    def cost(self) -> float:
        return self.engine.cost(self.prompt_tokens, self.completion_tokens)

    def __str__(self) -> str:
        return (
            f"  {self.kind:6} {self.calls:>9} calls {self.prompt_tokens:>12} prompt "
            f"{self.completion_tokens:>12} completion tokens  cost {self.cost:>10.2f}"
            f"  ({'from the ledger' if self.measured else 'assumed'} lengths)"
        )


def estimate(options: CollectOptions, instructions: int, instruction_tokens: int) -> str:
    """What collecting from so many instructions, with so many tokens in all, would take."""
    measured = _mean_lengths(Path(options.output) / "ledger.jsonl")
    length = _ASSUMED | measured

    def calls_of(kind: str, engine: EngineSpec, calls: int, prompt_tokens: int) -> CallEstimate:
        completion_tokens = calls * length[kind]
        return CallEstimate(kind, engine, calls, prompt_tokens, completion_tokens, kind in measured)

    drafts, prompt_tokens = instructions * options.drafts, instruction_tokens * options.drafts
    estimates = [calls_of("draft", spec(options.model, "model"), drafts, prompt_tokens)]
    if options.critic.get("model") not in ("exact", "checks"):  # which are programs
        critic = spec(options.critic, "critic")
        prompt_tokens += drafts * (_REQUEST_TOKENS + length["draft"])
        estimates.append(calls_of("teach", critic, drafts, prompt_tokens))
        if options.score:
            estimates.append(calls_of("score", critic, 2 * drafts, 2 * prompt_tokens))
    edits = options.critic.get("model") == "checks"
    cost = sum(each.cost for each in estimates)
    tokens = sum(each.prompt_tokens + each.completion_tokens for each in estimates)
    total = f"  total {tokens} tokens, cost {cost:.2f}"
    total += ", and what edits of the drafts add" * edits
    return "\n".join(["collect would take:", *map(str, estimates), total])


def _mean_lengths(ledger: Path) -> dict[str, int]:
    """Mean completion tokens of each kind of call, as far as the ledger has any."""
    lengths: dict[str, list[int]] = defaultdict(list)
    if ledger.is_file():
        for entry in read_entries(ledger):
            lengths[entry.kind].append(entry.completion_tokens)
    return {kind: sum(counts) // len(counts) for kind, counts in lengths.items()}
