"""Where the stored evaluation data is: $REDRAFT_EVALDATA, else shared/evaldata beside the
repository. Tests that need it are skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVALDATA = Path(os.environ.get("REDRAFT_EVALDATA") or ROOT.parent / "shared" / "evaldata")


def stored(path: str) -> Path:
    """A file or folder of the evaluation data, or the test is skipped."""
    found = EVALDATA / path
    if not found.exists():
        pytest.skip(f"no evaluation data at {found}; set REDRAFT_EVALDATA to where it is")
    return found
