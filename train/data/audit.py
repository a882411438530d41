"""Figures of a set of pairs that DPO could learn by mistake: length, duplicates, margins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from redraft.train.data.records import PreferencePair


def audit(pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    """Of scored pairs. Lengths are in characters, which compare across tokenizers."""
    if not pairs:
        return {}
    chosen = [len(pair.chosen) for pair in pairs]
    rejected = [len(pair.rejected) for pair in pairs]
    longer = sum(c > r for c, r in zip(chosen, rejected, strict=True))
    shorter = sum(c < r for c, r in zip(chosen, rejected, strict=True))
    margins = Counter(round((p.chosen_score or 0) - (p.rejected_score or 0)) for p in pairs)
    instructions = Counter(pair.messages for pair in pairs)
    whole = Counter((p.messages, p.chosen, p.rejected) for p in pairs)
    return {
        "pairs": len(pairs),
        "chosen_longer": longer / len(pairs),
        "chosen_shorter": shorter / len(pairs),
        "length_ratio": sum(chosen) / max(1, sum(rejected)),
        "margins": {str(margin): margins[margin] for margin in sorted(margins)},
        "mean_margin": sum(m * n for m, n in margins.items()) / len(pairs),
        "instructions": len(instructions),
        "duplicate_pairs": len(pairs) - len(whole),
        "most_pairs_of_one_instruction": max(instructions.values()),
    }


def report(audited: Mapping[str, Any]) -> str:
    margins = ", ".join(f"+{margin}: {count}" for margin, count in audited["margins"].items())
    return (
        f"  chosen longer in {audited['chosen_longer']:.0%}, shorter in "
        f"{audited['chosen_shorter']:.0%}; length ratio {audited['length_ratio']:.2f}\n"
        f"  margins {margins}; mean {audited['mean_margin']:.2f}\n"
        f"  {audited['instructions']} instructions, {audited['duplicate_pairs']} duplicate pairs"
    )
