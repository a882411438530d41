"""IFEval's own checkers, or the test is skipped where the libraries they need are not installed."""

from __future__ import annotations

import pytest

from redraft.benchmarks.grading.published_ifeval import NEEDED, PublishedIfeval


def published_ifeval() -> PublishedIfeval:
    for library in NEEDED:
        pytest.importorskip(library, reason=f"{library} is not installed (the bench extra has it)")
    return PublishedIfeval()
