"""What the processor computes is measured, once."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from redraft.train.cpu_speed import operations_per_second

pytestmark = pytest.mark.train


def test_it_computes_something_and_is_measured_once() -> None:
    speed = operations_per_second()
    assert speed > 1e8
    assert operations_per_second() == speed
