"""What the processor of this machine can do."""

from __future__ import annotations

import functools
import platform

_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # the last is ARM's name


@functools.cache
def fast_in_16_bits() -> bool:
    """Whether this processor is known to have instructions for bfloat16."""
    import torch  # here, as it takes a second

    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in _BFLOAT16)


def slow_in_16_bits() -> bool:
    """Whether it is known to have none. Of processors other than x86 not all are known."""
    return platform.machine() in ("x86_64", "AMD64") and not fast_in_16_bits()
