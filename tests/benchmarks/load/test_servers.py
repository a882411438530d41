"""What all engines of a comparison have in common."""

from __future__ import annotations

import pytest

from redraft.benchmarks.load import servers
from redraft.benchmarks.load.servers import EngineSettings
from redraft.server.engine.vllm_engine import processor


def dtype_of(settings: EngineSettings) -> str:
    arguments = settings.arguments()
    return arguments[arguments.index("--dtype") + 1]


@pytest.mark.parametrize(
    ("on_cpu", "slow", "chosen"),
    [(True, True, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")],
)
def test_they_compute_in_what_this_machine_computes_fast(
    monkeypatch: pytest.MonkeyPatch, on_cpu: bool, slow: bool, chosen: str
) -> None:
    monkeypatch.setattr(servers, "on_cpu", lambda: on_cpu)
    monkeypatch.setattr(processor, "slow_in_16_bits", lambda: slow)
    assert dtype_of(EngineSettings(512)) == chosen
    assert dtype_of(EngineSettings(512, dtype="float16")) == "float16"
