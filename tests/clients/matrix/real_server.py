"""The server that clients ask for objects of a schema: `redraft serve smollm2`, on real vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import smollm2
from tests.support.program import running


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The environment of a client's program, while the server runs. The model is made first where
    it is not here yet."""
    with running(smollm2.NAME) as program:
        base = f"{program.url}/v1"
        yield {
            "REDRAFT_BASE": base,
            "REDRAFT_FULL": base,
            "REDRAFT_KEY": "unused",
            "REDRAFT_MODEL": smollm2.NAME,
        }
