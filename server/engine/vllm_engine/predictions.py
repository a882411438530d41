"""Predictions on their way to the worker: token ids among the parameters of a completion.

vLLM checks and copies such arguments item by item, on the event loop: many ids go as one text.
They have a name that no client can know, because in direct mode clients send arguments, too, and
the worker trusts what it finds.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Mapping, Sequence

IDS = "I"  # array's code for the type of a token id


class Predictions:
    """Those of one core."""

    def __init__(self, window: int, *, are_used: bool) -> None:
        self.name = f"prediction-{secrets.token_hex(8)}"
        self.are_used = are_used
        self._window = window

    def arguments(self, ids: Sequence[int]) -> dict[str, str]:
        """What to add to the extra arguments of a completion."""
        return {self.name: _packed(ids[: self._window])} if self.are_used and ids else {}


def _packed(ids: Sequence[int]) -> str:
    return array(IDS, ids).tobytes().hex()


def in_arguments(name: str, arguments: Mapping[str, str] | None) -> list[int] | None:
    """The prediction in the extra arguments of a completion, in the worker."""
    ids = (arguments or {}).get(name)
    return None if ids is None else array(IDS, bytes.fromhex(ids)).tolist()
