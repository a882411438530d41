"""Retries of failed calls: exponential back-off with jitter, ``Retry-After`` honoured."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LEAST_JITTER = 0.5  # of the back-off


@dataclass(frozen=True, slots=True)
class Backoff:
    """The number of retries and the waits before them."""

    retries: int = 3
    first_s: float = 0.5  # doubled at each retry
    longest_s: float = 8.0
    longest_retry_after_s: float = 60.0  # a server that asks for more counts as down

    def delay_s(self, failures: int, retry_after_s: float | None = None) -> float | None:
        """The wait before the next try, after ``failures`` in a row; None: give up.

        Never less than ``retry_after_s``, the server's request; infinity asks for no retry."""
        least_s = retry_after_s or 0.0
        if failures > self.retries or least_s > self.longest_retry_after_s:
            return None
        doubled_s = min(self.longest_s, self.first_s * 2.0 ** (failures - 1))
        # Jitter spreads the retries of calls that failed together.
        return max(random.uniform(_LEAST_JITTER, 1.0) * doubled_s, least_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait before a retry, from a response's headers (names in lower case, or a
    mapping that ignores case): infinity for no retry, None where they do not say."""
    if headers.get("x-should-retry") == "false":
        return math.inf
    if milliseconds := _number(headers.get("retry-after-ms")):
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if value and seconds is None:
        try:
            date = parsedate_to_datetime(value)
            seconds = (date - datetime.now(date.tzinfo or UTC)).total_seconds()
        except (ValueError, TypeError):  # neither a number nor a date
            return None
    return None if seconds is None else max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
