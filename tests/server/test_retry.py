"""When a failed call is tried again."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from redraft.server.retry import Backoff, retry_after_s


def test_waits_double_and_are_spread_below_that_and_capped() -> None:
    backoff = Backoff(retries=5, first_s=1.0, longest_s=4.0)
    for failures, longest in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (5, 4.0)]:
        delays = {backoff.delay_s(failures) for _ in range(100)}
        assert len(delays) > 50
        assert all(delay is not None and longest / 2 <= delay <= longest for delay in delays)


def test_it_gives_up_after_the_last_retry() -> None:
    assert Backoff(retries=2).delay_s(2) is not None
    assert Backoff(retries=2).delay_s(3) is None
    assert Backoff(retries=0).delay_s(1) is None


def test_it_never_comes_back_sooner_than_the_server_asked() -> None:
    assert Backoff(first_s=0.1).delay_s(1, retry_after_s=7.0) == 7.0


@pytest.mark.parametrize("asked_s", [61.0, math.inf])
def test_it_gives_up_on_a_server_that_asks_for_too_much(asked_s: float) -> None:
    assert Backoff(longest_retry_after_s=60.0).delay_s(1, asked_s) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "7", "x-should-retry": "false"}, math.inf),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_what_headers_say_of_the_next_try(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_to_come_is_waited_for() -> None:
    headers = {"retry-after": format_datetime(datetime.now(UTC) + timedelta(hours=1))}
    seconds = retry_after_s(headers)
    assert seconds is not None and 3000 < seconds <= 3600
