"""TRL's scoring of tokens, on a CPU: only those that bear loss, in the precision of the weights.

Without Triton, TRL 1.16 scores every token of a batch, prompts too, and in 32 bits, a tile of the
vocabulary at a time: with a vocabulary of 49,000 words that takes longer than all layers of a model
of 135 million parameters. What is computed is the same, but for the gradient of the entropy, which
stages one and two do not ask for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, pad
from torch.utils.checkpoint import checkpoint

# Tokens whose logits are held together, and computed again for the gradient. Always as many: memory
# of ever other sizes would be left in pieces.
AT_ONCE = 256
# What TRL asks for, in its order.
_FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
Scores = tuple[torch.Tensor | None, ...]


def install(utils: Any) -> None:
    """Called before a trainer is made in a process without a GPU; ``utils``: trl.trainer.utils."""
    utils._use_triton = lambda _: True  # there, it decides alone whether all tokens are scored
    utils._ChunkedLogProbFunction = ScoredTokens


class ScoredTokens:
    """In place of TRL's autograd function."""

    @staticmethod
    def apply(
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        temperature: float,
        _: int,
        softcap: float | None,
        scale: float,
        outputs: tuple[str, ...],
    ) -> Scores:
        def scored(states: torch.Tensor, wanted: torch.Tensor) -> Scores:
            logits = linear(states, weight, bias).float() * scale
            if softcap:
                logits = softcap * torch.tanh(logits / softcap)
            return _scores(logits / temperature, wanted, outputs)

        count = len(labels)
        missing = -count % AT_ONCE
        states, wanted = pad(hidden, (0, 0, 0, missing)), pad(labels, (0, missing))
        parts = zip(torch.split(states, AT_ONCE), torch.split(wanted, AT_ONCE), strict=True)
        found = [checkpoint(scored, *part, use_reentrant=False) for part in parts]
        return tuple(
            None if each[0] is None else torch.cat(each)[:count]
            for each in zip(*found, strict=True)
        )


def _scores(logits: torch.Tensor, labels: torch.Tensor, outputs: tuple[str, ...]) -> Scores:
    every = logits.log_softmax(-1)
    found = {"log_probs": every.gather(-1, labels.unsqueeze(-1)).squeeze(-1)}
    with torch.no_grad():  # figures for the log
        if "entropy" in outputs:
            found["entropy"] = -(every.exp() * every).sum(-1)
        if "log_sum_sq_probs" in outputs:
            found["log_sum_sq_probs"] = (2 * every).logsumexp(-1)
        if "mean_logits" in outputs:
            found["mean_logits"] = logits.mean(-1)
        if "is_top1" in outputs:
            found["is_top1"] = logits.argmax(-1) == labels
    return tuple(found.get(name) for name in _FIELDS)
