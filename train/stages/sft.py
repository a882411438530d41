"""Stage one: supervised training on lessons, by TRL; also base training on plain responses.

    redraft train sft --lessons DIR/kept.jsonl --model BASE --output DIR/stage1
    redraft train sft --responses instructions.jsonl --model INITIAL --output DIR/base
    accelerate launch --config_file fsdp2.yaml -m redraft.train sft --config sft.yaml

Any argument of TRL's SFTConfig goes in ``--trainer``. Killed at any moment and started again, it
goes on from the last checkpoint and ends at the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from redraft.server.options import ConfigError, option
from redraft.server.refine.srt_format import COMPONENTS
from redraft.train import checkpoints, trl_settings
from redraft.train.checkpoints import adapter_base
from redraft.train.data import instructions, tokens
from redraft.train.data.records import read_lessons
from redraft.train.data.sft_dataset import Lengths, Row, RowMaker, checked, shown
from redraft.train.data.token_rows import dataset
from redraft.train.program import read
from redraft.train.trl_settings import TrainingData, TrlSettings


@dataclass(frozen=True, slots=True)
class SftOptions:
    """Supervised training on lessons (stage one) and responses (base training)."""

    model: str = option("folder or name of the model to start from; an adapter's: train it on")
    output: str = option("folder for the tuned model and its checkpoints")
    lessons: tuple[str, ...] = option("kept.jsonl of filter", ())
    responses: tuple[str, ...] = option("instructions with responses to imitate, any shape", ())
    limit: int | None = option("train on the first so many lessons only", None)
    mask_draft: bool = option("no loss on the draft; paper equation 1: loss on it", False)
    copied_loss: float = option(
        "share of the tokens copied from the draft that bear loss, so that the edits weigh more",
        1.0,
    )
    components: tuple[str, ...] = option("parts of the feedback to train on", COMPONENTS)
    max_length: int | None = option("of a sequence; none: as long as the data needs", None)
    max_dropped: float = option("share of sequences that may be too long and left out", 0.01)
    held_out: int = option("sequences kept back for TRL's evaluation", 0)
    lora: Mapping[str, Any] = option("arguments of peft.LoraConfig; none: train all weights", {})
    quantize: Literal["none", "4bit"] = option("4bit: QLoRA, needs bitsandbytes", "none")
    seed: int = option("of the order, and of LoRA's first weights", 0)
    trainer: Mapping[str, Any] = option("arguments of TRL's SFTConfig", {})
    dry_run: bool = option("check options and data, print the plan, train nothing", False)


def rows(options: SftOptions, maker: RowMaker) -> Iterator[Row]:
    """Everything to train on, lessons first."""
    lessons = chain.from_iterable(read_lessons(Path(file)) for file in options.lessons)
    for lesson in islice(lessons, options.limit):
        yield maker.lesson(lesson)
    if options.responses:
        source = instructions.read(options.responses, seed=options.seed)
        print(source.summary())
        for example in source.examples:
            yield maker.response(example)


def trainer_arguments(options: SftOptions) -> Any:
    from trl import SFTConfig

    on_adapter = adapter_base(options.model) is not None
    whole = not (options.lora or options.quantize == "4bit" or on_adapter)
    values = trl_settings.defaults(options.output, options.seed, whole)
    return trl_settings.arguments(SFTConfig, values, options.trainer)


def train(options: SftOptions) -> dict[str, Any]:
    """Train to the end; returns the figures of the run."""
    from transformers import AutoConfig

    if not (options.lessons or options.responses):
        raise ConfigError("sft needs --lessons or --responses")
    settings = TrlSettings.of(
        trainer_arguments(options), options.model, options.lora, options.quantize
    )
    base = adapter_base(options.model) or options.model
    config = AutoConfig.from_pretrained(base).get_text_config()
    maker = _maker(options)
    data, lengths = _data(options, maker, config.max_position_embeddings)
    if settings.arguments.packing:
        settings.arguments.max_length = lengths.max_length
    if options.dry_run:
        return asdict(lengths)
    files = (*options.lessons, *options.responses)
    name = checkpoints.identity(asdict(options), options.model, files)
    output = Path(options.output)
    if checkpoints.claim(output, name):
        print(f"sft: {output} is finished already")
        return {}
    trainer = _trainer(options, settings, maker.tokenizer.loaded, data)
    figures = {**asdict(lengths), **checkpoints.train(trainer, output)}
    checkpoints.finish(output, name, figures)
    return figures


def _data(options: SftOptions, maker: RowMaker, window: int) -> tuple[TrainingData, Lengths]:
    training_rows = rows(options, maker)
    fitting, lengths = checked(training_rows, window, options.max_length, options.max_dropped)
    if checkpoints.first_process():
        _say(lengths, shown(fitting[0], maker.tokenizer))
    kept = len(fitting) - options.held_out
    held_out = dataset(fitting[kept:]) if options.held_out else None
    row_lengths = [row.length for row in fitting[:kept]]
    return TrainingData(dataset(fitting[:kept]), row_lengths, held_out), lengths


def _maker(options: SftOptions) -> RowMaker:
    tokenizer = tokens.load(options.model)
    return RowMaker(
        tokenizer,
        tokenizer.srt_format(),
        options.mask_draft,
        options.copied_loss,
        tuple(c for c in options.components if c),
    )


def _say(lengths: Lengths, first: str) -> None:
    share = lengths.num_loss_tokens / max(1, lengths.num_tokens)
    print(
        f"sft: {lengths.num_rows} sequences, {lengths.num_tokens} tokens, {share:.0%} bear loss, "
        f"longest {lengths.longest}, {lengths.dropped} too long and left out"
    )
    print(f"sft: the first, without loss in [[ ]]:\n{first[:1500]}")


def _trainer(options: SftOptions, settings: TrlSettings, tokenizer: Any, data: TrainingData) -> Any:
    from trl import SFTTrainer
    from trl.trainer import utils

    from redraft.train.exact_resume import SameOrder

    class OrderedSftTrainer(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            # Packed sequences are of about the same length.
            lengths = [1] * len(self.train_dataset) if self.args.packing else data.lengths
            batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return SameOrder(lengths, batch, self.args.seed)

    model = settings.start_from(options.model)
    return settings.trainer(OrderedSftTrainer, utils, model, tokenizer, data)


def main(argv: Sequence[str]) -> int:
    options = read(SftOptions, "sft", argv)
    figures = train(options)
    if "train_loss" in figures:
        print(f"sft: loss {figures['train_loss']:.4f}, {figures['train_runtime']:.0f} s")
    return 0
