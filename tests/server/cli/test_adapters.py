"""`redraft doctor` on an adapter: its base, its phases, and why it cannot be served."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redraft.server.cli import main
from redraft.server.engine.vllm_engine.adapters import CONFIG
from tests.support import tiny_adapter, tiny_model
from tests.support.fake_hub import Repository, fake_hub


def test_the_doctor_says_who_writes_which_phase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model.build(tmp_path / "tiny")
    poet = tiny_adapter.build(tmp_path / "poet", model, seed=1)
    phases = {"draft": None, "feedback": ".", "refinement": "."}
    told = {"format": "srt/1", "base": "../tiny", "adapters": phases}
    (poet / "redraft.json").write_text(json.dumps(told))
    asked = ["doctor", str(poet), "--port", "0", "--kv-cache-memory-bytes", str(64 << 20)]
    main(asked)
    shown = capsys.readouterr().out
    assert f"adapter       poet, {poet}" in shown
    assert "of poet: draft by the base, feedback by poet, refinement by poet" in shown

    config = poet / CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_dora": True}))
    assert main(asked) == 1
    shown = capsys.readouterr().out
    assert "uses use_dora, which vLLM does not have" in shown
    assert "do: merge the adapter into its base and serve that" in shown


@pytest.mark.slow  # the doctor loads vLLM
def test_an_adapter_of_the_hub_is_looked_at_before_its_weights_are_here(
    tmp_path: Path, root: Path
) -> None:
    model = tiny_model.build(tmp_path / "tiny")
    poet = tiny_adapter.build(tmp_path / "poet", model, seed=1)
    says = {"format": "srt/1", "base": str(model)}
    (poet / "redraft.json").write_text(json.dumps(says))
    with fake_hub({"acme/poet": Repository(poet)}) as hub:
        shown = subprocess.run(
            [sys.executable, "-m", "redraft.server.cli", "doctor", "acme/poet", "--port", "0"],
            cwd=root,
            # Whether another test of this process went offline does not matter here.
            env={
                **os.environ,
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(tmp_path / "hub"),
                "HF_HUB_OFFLINE": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        ).stdout
    assert re.search(r"adapter +acme/poet; \d+ kB are fetched when it is first", shown), shown
    assert "has no adapter_model.safetensors" not in shown
