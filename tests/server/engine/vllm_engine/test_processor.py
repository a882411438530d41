"""What the processor of this machine can do."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from redraft.server.engine.vllm_engine.processor import fast_in_16_bits, slow_in_16_bits


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").is_file(),
    reason="needs an x86 processor that Linux describes",
)
def test_this_processor_is_told_by_its_flags() -> None:
    pytest.importorskip("torch")
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert fast_in_16_bits() == bool(flags & {"avx512_bf16", "amx_bf16"})
    assert slow_in_16_bits() == (not fast_in_16_bits())
