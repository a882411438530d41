"""The trainers on a tiny model: weights move, instructions bear no loss, adapters fold in.
Spans: train/stages/sft, train/stages/dpo, train/stages/merge"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.vllm_engine import processor
from redraft.server.options import ConfigError
from redraft.server.refine import manifest
from redraft.train.data import tokens
from redraft.train.data.sft_dataset import IGNORED
from redraft.train.stages import agreement, dpo, merge, sft
from redraft.train.stages.agreement import JudgementAgreement, counted, fall
from redraft.train.stages.dpo import DpoOptions
from redraft.train.stages.merge import MergeOptions
from redraft.train.stages.sft import SftOptions
from redraft.train.trl_settings import TrlSettings
from tests.support import tiny_lessons, tiny_model

pytestmark = pytest.mark.train

TRAINER = {
    "max_steps": 3,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
    "save_steps": 3,
    "report_to": "none",
    "disable_tqdm": True,
}
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lessons.write(tmp_path_factory.mktemp("stages"))


def sft_options(folder: Path, output: str, **changes: Any) -> SftOptions:
    options = SftOptions(
        str(folder / "model"),
        str(folder / output),
        lessons=(str(folder / "lessons.jsonl"),),
        trainer=TRAINER,
    )
    return replace(options, **changes)


def dpo_options(folder: Path, output: str, **changes: Any) -> DpoOptions:
    options = DpoOptions(
        str(folder / "model"),
        str(folder / "pairs.jsonl"),
        str(folder / output),
        trainer=TRAINER,
    )
    return replace(options, **changes)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = folder.glob("*.safetensors")
    return dict(load_file(file))


def assert_moved(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert not value.float().equal(after[name].float()), f"{name} has not changed"


@pytest.fixture(scope="module")
def stage_one(folder: Path) -> Path:
    sft.train(sft_options(folder, "stage1"))
    return folder / "stage1"


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Path:
    sft.train(sft_options(folder, "adapter", lora=LORA))
    return folder / "adapter"


def test_stage_one_moves_every_weight(folder: Path, stage_one: Path) -> None:
    assert_moved(weights(folder / "model"), weights(stage_one))


def test_what_trl_computes_the_loss_on_is_everything_after_the_instruction(folder: Path) -> None:
    options = sft_options(folder, "unused")
    maker = sft._maker(options)
    rows = list(sft.rows(options, maker))
    data, _ = sft._data(options, maker, tiny_model.WINDOW)
    settings = TrlSettings(sft.trainer_arguments(options))
    trainer = sft._trainer(options, settings, maker.tokenizer.loaded, data)
    for row, held in zip(rows, trainer.train_dataset, strict=True):
        batch = trainer.data_collator([{k: held[k] for k in ("input_ids", "labels")}])
        labels = batch["labels"][0].tolist()
        assert labels == list(row.labels)
        assert set(labels[: row.prompt]) == {IGNORED}
        assert IGNORED not in labels[row.prompt :]


def test_an_adapter_can_be_trained_on(folder: Path, adapter: Path) -> None:
    further = sft_options(folder, "further", model=str(adapter), seed=1)
    sft.train(further)
    assert_moved(weights(adapter), weights(folder / "further"))
    # From where it was, not from the beginning: in three small steps it goes a part of the way.
    before, after = weights(adapter), weights(folder / "further")
    fresh = sft_options(folder, "fresh", lora=LORA, seed=1)
    sft.train(fresh)
    other = weights(folder / "fresh")
    names = [name for name in before if "lora_A" in name]
    assert sum(float((after[n] - before[n]).norm()) for n in names) < sum(
        float((other[n] - before[n]).norm()) for n in names
    )
    with pytest.raises(ConfigError, match="is an adapter already: leave out lora"):
        sft.train(replace(further, output=str(folder / "never"), lora=LORA))


def test_an_adapter_is_trained_on_with_its_base_loaded_as_the_recipe_says(
    folder: Path, adapter: Path
) -> None:
    chosen = {"dtype": "float16", "attn_implementation": "eager"}
    options = sft_options(folder, "further", model=str(adapter))
    options = replace(options, trainer={**options.trainer, "model_init_kwargs": chosen})
    model = TrlSettings(sft.trainer_arguments(options)).start_from(options.model)
    base = model.get_base_model()
    assert base.config._attn_implementation == "eager"
    assert str(base.lm_head.weight.dtype) == "torch.float16"


@pytest.mark.parametrize("fast", [True, False])
def test_16_bits_are_computed_in_where_the_processor_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(processor, "fast_in_16_bits", lambda: fast)
    whole = sft.trainer_arguments(sft_options(folder, "never"))
    over_frozen = sft.trainer_arguments(sft_options(folder, "never", lora=LORA))
    assert (whole.bf16, over_frozen.bf16) == (fast, fast)
    assert whole.model_init_kwargs == {"dtype": "float32"}
    assert over_frozen.model_init_kwargs == {"dtype": "auto" if fast else "float32"}


def test_a_finished_training_is_not_done_again(
    folder: Path, stage_one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (stage_one / "model.safetensors").stat().st_mtime_ns
    sft.train(sft_options(folder, "stage1"))
    assert "finished already" in capsys.readouterr().out
    assert (stage_one / "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_is_not_taken_over_by_another_training(folder: Path, stage_one: Path) -> None:
    with pytest.raises(ConfigError, match="belongs to a training with other options or data"):
        sft.train(sft_options(folder, "stage1", seed=9))


def test_nothing_is_cut_in_silence(folder: Path) -> None:
    with pytest.raises(ConfigError, match="sequences are longer than 20 tokens"):
        sft.train(sft_options(folder, "too-long", max_length=20))
    assert not (folder / "too-long").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trainer": {"learn_rate": 1}}, "learn_rate"),
        ({"lora": {"rank": 4}}, "rank"),
        ({"quantize": "4bit"}, "bitsandbytes"),
        ({"lessons": ()}, "needs --lessons or --responses"),
    ],
)
def test_a_wrong_option_is_found_before_the_first_step(
    folder: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        sft.train(sft_options(folder, "wrong", **changes))
    assert not (folder / "wrong").exists()


def test_stage_two_moves_every_weight_towards_the_chosen(folder: Path, stage_one: Path) -> None:
    options = dpo_options(folder, "stage2", model=str(stage_one))
    assert dpo.train(replace(options, trainer={**TRAINER, "max_steps": 6})) == 0
    assert_moved(weights(stage_one), weights(folder / "stage2"))
    told = json.loads((folder / "stage2" / "training.json").read_text())
    assert told["finished"]
    assert told["train_loss"] < 0.6931  # log 2: where every DPO starts


def test_stage_two_from_an_adapter_has_that_adapter_as_its_reference(
    folder: Path, adapter: Path
) -> None:
    options = dpo_options(folder, "adapter2", model=str(adapter))
    tokenizer = tokens.load(adapter)
    settings = TrlSettings(dpo.trainer_arguments(options))
    data, _ = dpo._data(options, tokenizer, tiny_model.WINDOW)
    trainer = dpo._trainer(options, settings, tokenizer, data)
    parameters = dict(trainer.model.named_parameters())
    references = [name for name in parameters if ".ref." in name]
    assert references
    for name in references:
        assert parameters[name].equal(parameters[name.replace(".ref.", ".default.")])
        assert not parameters[name].requires_grad
    assert dpo.train(options) == 0
    assert_moved(weights(adapter), weights(folder / "adapter2"))


def test_an_adapter_folds_in_and_the_result_is_ready_to_serve(folder: Path, adapter: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    output = merge.merge(MergeOptions(str(adapter), str(folder / "merged"), dtype="float32"))
    ids = torch.tensor([[3, 40, 50, 60]])
    with torch.no_grad():
        apart = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype="float32")(ids).logits
        folded = AutoModelForCausalLM.from_pretrained(output, dtype="float32")(ids).logits
    assert torch.allclose(apart, folded, atol=1e-5)
    assert not (output / "adapter_config.json").exists()
    found = manifest.read(output)
    assert found is not None
    assert found.srt_format == tiny_model.srt_format()
    told = json.loads((output / "generation_config.json").read_text())
    assert set(told["eos_token_id"]) == set(found.srt_format.stop_token_ids())


def test_the_manifest_carries_what_was_measured(folder: Path, stage_one: Path) -> None:
    (folder / "calibration.json").write_text('[{"score": 10, "responses": 100, "right": 94}]')
    (folder / "evaluation.json").write_text('{"direct": 0.4}')
    options = MergeOptions(
        str(stage_one),
        str(folder / "measured"),
        good_enough=10,
        keep="best",
        calibration=str(folder / "calibration.json"),
        evaluation=str(folder / "evaluation.json"),
    )
    found = manifest.read(merge.merge(options))
    assert found is not None
    assert (found.policy.good_enough, found.policy.keep) == (10, "best")
    assert found.calibration[0].right == 94
    assert found.evaluation == {"direct": 0.4}


def test_a_model_taught_parts_of_the_feedback_says_so(folder: Path, stage_one: Path) -> None:
    options = MergeOptions(str(stage_one), str(folder / "parts"), components=("weaknesses",))
    found = manifest.read(merge.merge(options))
    assert found is not None
    assert found.srt_format.components == ("weaknesses",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"components": ("praise",)}, "unknown feedback component 'praise'"),
        ({"components": ()}, "no feedback has nothing to refine with"),
        ({"components": ("weaknesses",), "keep": "best"}, "keep best need scores"),
        ({"components": ("suggestions",), "good_enough": 9}, "good_enough and keep best need"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_not_written(
    folder: Path, stage_one: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        merge.merge(MergeOptions(str(stage_one), str(folder / "never"), **changes))
    assert not (folder / "never").exists()


def test_agreement_counts_ties_and_unreadable_scores_as_wrong() -> None:
    found = counted([(9, 2), (5, 5), (2, 9), (None, 3), (9, 1)])
    assert found == JudgementAgreement(right=2, ties=1, wrong=1, unreadable=1)
    assert found.share == 0.4


def test_a_fall_within_what_the_recipe_allows_is_none() -> None:
    before, after = JudgementAgreement(80, 0, 20, 0), JudgementAgreement(76, 4, 20, 0)
    assert fall(before, after, 0.05) is None
    told = fall(before, after, 0.02)
    assert told is not None
    assert "from 80.0% to 76.0%, by 4.0%; the recipe allows 2.0%" in told


def test_stage_two_stops_when_the_model_judges_worse_than_allowed(
    folder: Path, stage_one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = dpo_options(
        folder,
        "judged",
        model=str(stage_one),
        judgements=str(folder / "pairs.jsonl"),
        max_fall=-0.01,  # not even standing still is enough
        feedback_tokens=8,
    )
    assert dpo.train(options) == agreement.FELL
    told = capsys.readouterr().out
    assert "dpo: agreement before" in told
    assert "agreement with held-out judgements fell" in told
    assert dpo.train(options) == agreement.FELL  # the verdict is kept with the weights
