"""The real language model that `redraft serve smollm2` serves, for tests that need one."""

from __future__ import annotations

import pytest

from redraft.server.build.aliases import ALIASES, cache_folder

NAME = "smollm2"


def or_skip() -> None:
    """Skip the test where the model has not been made on this machine: no test downloads it
    unasked."""
    if not ALIASES[NAME].is_made(cache_folder("")):
        pytest.skip(f"{NAME} is not in redraft's cache; run: redraft fetch {NAME}")
