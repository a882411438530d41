"""What both training stages give to TRL: default arguments, adapter, quantisation, data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from redraft.server.engine import garbage
from redraft.server.engine.vllm_engine import processor
from redraft.server.options import ConfigError
from redraft.train.checkpoints import adapter_base


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A data set, and the lengths of its rows."""

    train: Any  # a data set
    lengths: Sequence[int]  # of each sequence
    held_out: Any = None


@dataclass(frozen=True, slots=True)
class TrlSettings:
    """Made, and so checked, before anything is written or loaded."""

    arguments: Any  # TRL's own
    lora: Any = None
    quantization: Any = None

    @classmethod
    def of(
        cls, arguments: Any, model: str, lora: Mapping[str, Any], quantize: Literal["none", "4bit"]
    ) -> TrlSettings:
        if lora and adapter_base(model) is not None:
            raise ConfigError(
                f"{model} is an adapter already: leave out lora to train it on, or merge it first "
                f"and train a new one over it"
            )
        return cls(arguments, lora_config(lora), quantization(quantize))

    def start_from(self, model: str) -> Any:
        """What TRL trains: the name of the weights, or the adapter in the folder, loaded."""
        if adapter_base(model) is None:
            return model
        from peft import AutoPeftModelForCausalLM

        # TRL would not apply them to a model that is loaded.
        base, self.arguments.model_init_kwargs = self.arguments.model_init_kwargs, None
        return AutoPeftModelForCausalLM.from_pretrained(model, is_trainable=True, **(base or {}))

    def trainer(
        self, trainer: type, utils: Any, model: Any, tokenizer: Any, data: TrainingData
    ) -> Any:
        """``trainer``: a class of TRL's; ``utils``: its module of that name."""
        from redraft.train import head_on_cpu
        from redraft.train.exact_resume import MarkComplete

        if self.arguments.use_cpu:
            garbage.keep_freed()
            head_on_cpu.install(utils)
        return trainer(
            model=model,
            args=self.arguments,
            processing_class=tokenizer,
            train_dataset=data.train,
            eval_dataset=data.held_out,
            peft_config=self.lora,
            quantization_config=self.quantization,
            callbacks=[MarkComplete()],
        )


def defaults(output: str, seed: int, whole_weights: bool) -> dict[str, Any]:
    """``whole_weights``: all of them are trained, not an adapter."""
    import torch

    on_gpu = torch.cuda.is_available()
    values: dict[str, Any] = {
        "output_dir": output,
        "max_length": None,  # rows were checked; TRL must not cut any
        "save_total_limit": 2,  # two: a kill while the newest is written must leave one
        "report_to": "tensorboard",
        "bf16": in_16_bits(),
        "use_cpu": not on_gpu,
        "gradient_checkpointing": False,
        "ddp_find_unused_parameters": False,  # there are none, and looking costs time
        "dataloader_pin_memory": on_gpu,
        "seed": seed,
        "data_seed": seed,
    }
    # Weights of a full fine-tune are kept in 32 bits: updates of 1e-5 vanish in bfloat16.
    values["model_init_kwargs"] = {"dtype": "float32" if whole_weights else frozen_dtype()}
    return values


def in_16_bits() -> bool:
    """Whether this machine computes faster in bfloat16."""
    import torch

    return torch.cuda.is_available() or processor.fast_in_16_bits()


def frozen_dtype() -> str:
    """Of the base under an adapter: its own, most often bfloat16, where that is fast."""
    return "auto" if in_16_bits() else "float32"


def arguments(config: type, values: Mapping[str, Any], trainer: Mapping[str, Any]) -> Any:
    """An instance of TRL's config class; an argument that it does not know is ConfigError."""
    try:
        return config(**{**values, **trainer})
    except TypeError as error:
        raise ConfigError(f"trainer: {error}; see TRL's {config.__name__} for the names") from error


def lora_config(lora: Mapping[str, Any]) -> Any:
    from peft import LoraConfig

    if not lora:
        return None
    try:
        return LoraConfig(task_type="CAUSAL_LM", **lora)
    except TypeError as error:
        raise ConfigError(f"lora: {error}; see peft.LoraConfig for the names") from error


def quantization(kind: Literal["none", "4bit"]) -> Any:
    if kind != "4bit":
        return None
    if find_spec("bitsandbytes") is None:
        raise ConfigError("quantize 4bit needs bitsandbytes; run: redraft install qlora")
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
