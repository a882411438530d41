"""Progress bars: rate and remaining time, redrawn seldom when the output is no terminal."""

from __future__ import annotations

import sys
from typing import Any


def bar(total: int, what: str, unit: str) -> Any:
    from tqdm import tqdm

    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        smoothing=0.05,
        mininterval=0.1 if watched else 15.0,  # a log gets a few lines, not thousands
        ascii=not watched,
    )
