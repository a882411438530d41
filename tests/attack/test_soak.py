"""Minutes of load on the workbench model, with kill -9 of its engine and clients that leave:
no answer is lost or wrong, and no descriptor stays open.
Spans: server"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed")
pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks import soak

MINUTES = os.environ.get("ATTACK_MINUTES", "4")


@pytest.mark.attack
@pytest.mark.vllm
def test_nothing_is_lost_or_wrong_while_engines_are_killed(root: Path, tmp_path: Path) -> None:
    model = root / "models" / "redraft-workbench"
    soak.main(["--model", str(model), "--kills", "2", "--minutes", MINUTES, "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "soak.json").read_text())["figures"]
    assert len(figures["back_after_s"]) == 2
    assert (figures["lost"], figures["wrong"]) == (0, 0), figures
    assert figures["compared"] > 0
    assert figures["descriptors_gained"] <= soak.SPARE_DESCRIPTORS
