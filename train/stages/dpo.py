"""Stage two: DPO on the tuned model's own pairs, by TRL.

    redraft train dpo --model DIR/stage1 --pairs DIR/pairs/pairs.jsonl --output DIR/stage2

The reference is the model it starts from: a copy of the weights, of the adapter when it starts
from one, or the weights below a new adapter. Any argument of TRL's DPOConfig goes in
``--trainer``. With ``--judgements`` the model's agreement with those judgements is measured before
and after, and a fall beyond ``--max-fall`` is exit status 4. Resumes like sft.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from redraft.server.options import ConfigError, option
from redraft.train import checkpoints, trl_settings
from redraft.train.checkpoints import adapter_base
from redraft.train.data import judgements, tokens
from redraft.train.data.preference_dataset import PairLengths, checked, rows
from redraft.train.data.records import PreferencePair, read_pairs
from redraft.train.data.token_rows import dataset
from redraft.train.program import read
from redraft.train.stages.agreement import (
    FEEDBACK_TOKENS,
    FELL,
    MAX_FALL,
    JudgementAgreement,
    fall,
    measure,
)
from redraft.train.trl_settings import TrainingData, TrlSettings

MEASURED_AT_ONCE = 64  # feedback generated in one batch


@dataclass(frozen=True, slots=True)
class DpoOptions:
    """Direct preference optimisation on the tuned model's own pairs."""

    model: str = option("folder of the stage-one model, whole or an adapter")
    pairs: str = option("pairs.jsonl of preferences")
    output: str = option("folder for the tuned model and its checkpoints")
    limit: int | None = option("train on the first so many pairs only", None)
    max_length: int | None = option("of prompt and response; none: what the data needs", None)
    max_dropped: float = option("share of pairs that may be too long and left out", 0.01)
    lora: Mapping[str, Any] = option("arguments of peft.LoraConfig, for a new adapter", {})
    quantize: Literal["none", "4bit"] = option("4bit: QLoRA, needs bitsandbytes", "none")
    judgements: str | None = option("held-out judged pairs to measure agreement on", None)
    max_fall: float = option("most the agreement may fall", MAX_FALL)
    feedback_tokens: int = option("of one feedback when measuring agreement", FEEDBACK_TOKENS)
    seed: int = option("of the order, and of LoRA's first weights", 0)
    trainer: Mapping[str, Any] = option("arguments of TRL's DPOConfig", {})
    dry_run: bool = option("check options and data, print the plan, train nothing", False)


def trainer_arguments(options: DpoOptions) -> Any:
    """TRL's DPOConfig with the paper's values (section 4.1) where none are given."""
    from trl import DPOConfig

    on_adapter = adapter_base(options.model) is not None
    whole = not (options.lora or options.quantize == "4bit" or on_adapter)
    papers = {
        "beta": 0.01,
        "learning_rate": 5e-7,
        "num_train_epochs": 1,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
    }
    values = trl_settings.defaults(options.output, options.seed, whole)
    return trl_settings.arguments(DPOConfig, {**values, **papers}, options.trainer)


def train(options: DpoOptions) -> int:
    """Train to the end; the exit status."""
    from transformers import AutoConfig

    settings = TrlSettings.of(
        trainer_arguments(options), options.model, options.lora, options.quantize
    )
    tokenizer = tokens.load(options.model)
    base = adapter_base(options.model) or options.model
    config = AutoConfig.from_pretrained(base).get_text_config()
    data, lengths = _data(options, tokenizer, config.max_position_embeddings)
    judged = judgements.read(options.judgements) if options.judgements else []
    if options.dry_run:
        return 0
    judgement_files = (options.judgements,) if options.judgements else ()
    name = checkpoints.identity(asdict(options), options.model, (options.pairs, *judgement_files))
    output = Path(options.output)
    if checkpoints.claim(output, name):
        print(f"dpo: {output} is finished already")
        return _verdict(options, output)
    trainer = _trainer(options, settings, tokenizer, data)
    _agreement(options, trainer, tokenizer, judged, "before")
    figures = {**asdict(lengths), **checkpoints.train(trainer, output)}
    _agreement(options, trainer, tokenizer, judged, "after")
    checkpoints.finish(output, name, figures)
    print(f"dpo: loss {figures['train_loss']:.4f}, {figures['train_runtime']:.0f} s")
    return _verdict(options, output)


def _data(
    options: DpoOptions, tokenizer: tokens.Tokenizer, window: int
) -> tuple[TrainingData, PairLengths]:
    pair_rows = rows(read_pairs(Path(options.pairs)), tokenizer, options.limit)
    fitting, lengths = checked(pair_rows, window, options.max_length, options.max_dropped)
    if checkpoints.first_process():
        print(
            f"dpo: {lengths.num_pairs} pairs, {lengths.num_tokens} tokens, longest "
            f"{lengths.longest}, {lengths.dropped} too long and left out"
        )
    return TrainingData(dataset(fitting), [row.length for row in fitting]), lengths


def _trainer(
    options: DpoOptions, settings: TrlSettings, tokenizer: tokens.Tokenizer, data: TrainingData
) -> Any:
    from trl import DPOTrainer
    from trl.trainer import utils

    from redraft.train.exact_resume import SameOrder

    class OrderedDpoTrainer(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # token ids already; TRL would make them from text, unlike the server

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            # With the reference adapter beside it, transformers (5.19) reads that one only and
            # leaves the adapter in training as it was at the start.
            if adapter_base(resume_from_checkpoint) is not None:
                trained = self.accelerator.unwrap_model(model or self.model)
                trained.load_adapter(resume_from_checkpoint, "default", is_trainable=True)

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return SameOrder(data.lengths, batch, self.args.seed)

    # Loaded as trainable, TRL keeps a frozen copy of an adapter as the reference; loaded any other
    # way, the reference would silently be the base model (huggingface/trl#1193).
    model = settings.start_from(options.model)
    return settings.trainer(OrderedDpoTrainer, utils, model, tokenizer.loaded, data)


def _agreement(
    options: DpoOptions,
    trainer: Any,
    tokenizer: tokens.Tokenizer,
    judged: Sequence[PreferencePair],
    when: str,
) -> None:
    """Measured once and kept: a resumed training must not measure "before" in its middle."""
    if not judged:
        return
    if trainer.args.world_size > 1:
        raise ConfigError(
            "judgements cannot be measured on several processes; make it steps of their own before "
            "dpo and after merge (redraft train agreement)"
        )
    file = Path(options.output) / f"agreement_{when}.json"
    if when == "before" and file.is_file():
        return
    from redraft.train.transformers_engine import TransformersEngine

    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    window = model.config.get_text_config().max_position_embeddings
    engine = TransformersEngine(model, tokenizer, "tuned", window, MEASURED_AT_ONCE)
    measured = measure(
        engine, tokenizer.srt_format(), judged, options.feedback_tokens, MEASURED_AT_ONCE
    )
    agreement = asyncio.run(measured)
    print(f"dpo: agreement {when}: {agreement}")
    agreement.write(file)


def _verdict(options: DpoOptions, output: Path) -> int:
    if options.judgements is None:
        return 0
    before, after = (
        JudgementAgreement.load(output / f"agreement_{when}.json") for when in ("before", "after")
    )
    if problem := fall(before, after, options.max_fall):
        print(f"dpo: {problem}")
        return FELL
    return 0


def main(argv: Sequence[str]) -> int:
    return train(read(DpoOptions, "dpo", argv))
