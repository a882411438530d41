"""A training killed at any moment and started again ends at the weights of one never killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_lessons
from tests.support.killed import run_killed

pytestmark = pytest.mark.timeout(3600)  # each training is killed twice and started again
ROOT = Path(__file__).resolve().parents[2]
STEPS = 8
TRAINER = {
    "max_steps": STEPS,
    "save_steps": 1,
    "logging_steps": 1,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
    "report_to": "none",
}
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lessons.write(tmp_path_factory.mktemp("resume"))


@dataclass(frozen=True)
class Training:
    stage: str
    lora: bool = False
    model: str = "model"

    @property
    def name(self) -> str:
        return f"{self.stage}{'-lora' * self.lora}-{self.model}"


def command(folder: Path, training: Training, output: str) -> list[str]:
    stage, lora = training.stage, LORA if training.lora else {}
    data = ["--lessons", "lessons.jsonl"] if stage == "sft" else ["--pairs", "pairs.jsonl"]
    options = {"trainer": TRAINER, "lora": lora, "output": output}
    config = folder / f"{output}.json"
    config.write_text(json.dumps(options))
    start = [sys.executable, "-m", "redraft.train", stage, "--config", str(config)]
    return [*start, "--model", training.model, *data]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def weights(output: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = output.glob("*.safetensors")
    return dict(load_file(file))


BEFORE_IT = "mkdir .*-killed/checkpoint-{}$"
HALF_WRITTEN = "write .*-killed/checkpoint-{}/trainer_state.json$"
NOT_YET_TRUSTED = "write .*-killed/checkpoint-{}/complete.json"


@pytest.mark.train
@pytest.mark.parametrize(
    ("training", "places"),
    [
        (Training("sft"), [HALF_WRITTEN.format(3), BEFORE_IT.format(6)]),
        (Training("sft", lora=True), [NOT_YET_TRUSTED.format(4)]),
        (Training("dpo"), [NOT_YET_TRUSTED.format(2), HALF_WRITTEN.format(STEPS)]),
        # An adapter, with a copy as its reference.
        (Training("dpo", model="sft-lora-model-whole"), [BEFORE_IT.format(5)]),
    ],
    ids=lambda given: given.name if isinstance(given, Training) else None,
)
def test_a_killed_training_ends_at_the_weights_of_one_never_killed(
    folder: Path, training: Training, places: list[str]
) -> None:
    import torch

    if not (folder / training.model).exists():  # chosen alone, without the test that makes it
        made = command(folder, Training("sft", lora=True), training.model)
        subprocess.run(made, cwd=folder, env=environment(), check=True)
    whole, killed = f"{training.name}-whole", f"{training.name}-killed"
    subprocess.run(command(folder, training, whole), cwd=folder, env=environment(), check=True)
    for place in places:
        again = command(folder, training, killed)
        run_killed(again, place, folder, cwd=folder, env=environment())
    done = subprocess.run(
        command(folder, training, killed),
        cwd=folder,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "going on from" in done.stdout
    expected, found = weights(folder / whole), weights(folder / killed)
    assert expected.keys() == found.keys()
    for parameter, value in expected.items():
        assert torch.equal(value, found[parameter]), f"{parameter} differs"
