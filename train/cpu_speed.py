"""What the processor of this machine computes, measured for half a second."""

from __future__ import annotations

import functools
import time

import torch

_SIDE = 1024  # of the matrices
_MEASURE_S = 0.5


@functools.cache
def operations_per_second() -> float:
    """Of products of matrices in 32 bits, by as many threads as torch uses."""
    one = torch.ones(_SIDE, _SIDE)
    one @ one
    products, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < _MEASURE_S:
        one @ one
        products += 1
    return products * 2.0 * _SIDE**3 / seconds
