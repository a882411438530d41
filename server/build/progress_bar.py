"""Lines of progress for a download of huggingface_hub, which reports to a class of tqdm's kind."""

from __future__ import annotations

import threading
import time
from typing import Any

from redraft.server.build.fetching import Fetching, size

STEP = 0.1  # of the whole, between two lines
SILENCE_S = 10.0  # the longest between two lines while bytes arrive


class DownloadMeter:
    """Counts what arrives, says how far it is, and stops the download with its fetching."""

    def __init__(self, total: int, fetching: Fetching) -> None:
        self._total, self._fetching = total, fetching
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._said_at, self._said = self._began, 0

    def reach(self, num_bytes: int) -> None:
        self._fetching.check()
        with self._lock:
            now, news = time.monotonic(), num_bytes - self._said
            late = now - self._said_at > SILENCE_S
            if not self._total or not (news >= STEP * self._total or (news and late)):
                return
            self._said_at, self._said = now, num_bytes
        rate = num_bytes / max(now - self._began, 1e-3)
        share = min(1.0, num_bytes / self._total)
        self._fetching.say(f"{share:.0%} of {size(self._total)}, {size(rate)}/s")

    def bar_class(self) -> type[Any]:
        """To be given to huggingface_hub, which makes several bars of it; each counts alone."""
        from huggingface_hub.utils.tqdm import tqdm

        meter = self

        class Bar(tqdm):  # type: ignore[misc, unused-ignore]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                options["disable"] = True
                super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
                self._counts, self._reached = options.get("unit") == "B", 0

            def update(self, n: float | None = 1) -> bool | None:
                meter._fetching.check()
                if self._counts:
                    self._reached += int(n or 0)
                    meter.reach(self._reached)
                return None

        return Bar
