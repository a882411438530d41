"""An adapter, ready to ship: its weights in 16 bits, its base by name, redraft.json beside them.

    redraft train adapter --model DIR/stage1 --base smollm2 --output models/redraft-smollm2
    redraft serve models/redraft-smollm2

The base drafts and the adapter gives feedback and refines, unless ``--drafts``; with ``--drafter``
another adapter drafts, which goes with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from redraft.server import jsonl
from redraft.server.options import ConfigError, option
from redraft.server.refine import manifest
from redraft.server.refine.adapters import PhaseAdapters
from redraft.server.refine.srt_format import COMPONENTS, HIGHEST_SCORE
from redraft.train.checkpoints import adapter_base
from redraft.train.data import tokens
from redraft.train.program import read
from redraft.train.stages.merge import evaluation, taught

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KEEP: Literal["last"] = "last"  # which response is the answer
_DRAFTER = "draft"  # its folder, beside the adapter's own files


@dataclass(frozen=True, slots=True)
class AdapterOptions:
    """A folder of an adapter that 'redraft serve' takes as it is."""

    model: str = option("folder of the adapter, as sft or dpo leave it")
    output: str = option("folder for the adapter to ship")
    base: str = option(
        "the base as 'redraft serve' finds it: a name, or a folder beside the output"
    )
    base_folder: str | None = option("the base's tokenizer; none: what the adapter names", None)
    drafts: bool = option("the adapter drafts, too", False)
    drafter: str | None = option("folder of another adapter, which drafts", None)
    components: tuple[str, ...] = option("parts of the feedback it was taught", COMPONENTS)
    max_iterations: int = option("default policy of the server", 1)
    good_enough: int | None = option("score that is not refined any further", HIGHEST_SCORE)
    evaluation: str | None = option("JSON of figures for the manifest", None)


def ship(options: AdapterOptions) -> Path:
    source, output = Path(options.model), Path(options.output)
    if options.drafts and options.drafter:
        raise ConfigError("drafts and drafter name two that draft; leave out one")
    named = _trained_on(source)
    drafter = Path(options.drafter) if options.drafter else None
    if drafter:
        _trained_on(drafter)
    components = taught(options.components, options.good_enough, _KEEP)
    figures = evaluation(options.evaluation)
    base = Path(options.base_folder or named)
    _write(source, output, options.base)
    if drafter:
        _write(drafter, output / _DRAFTER, options.base)
    drafts = "." if options.drafts else _DRAFTER if drafter else None
    manifest.write(
        output,
        replace(tokens.load(base).srt_format(), components=components),
        manifest.DefaultPolicy(options.max_iterations, options.good_enough, _KEEP),
        evaluation=figures,
        adapters=manifest.AdapterSection(options.base, PhaseAdapters(drafts, ".", ".")),
        base=base,
    )
    return output


def _trained_on(adapter: Path) -> str:
    if (named := adapter_base(adapter)) is None:
        raise ConfigError(f"{adapter} has no {_CONFIG}: it holds no adapter; see merge")
    return named


def _write(source: Path, output: Path, base: str) -> None:
    """The weights in 16 bits, and their configuration with the name of the base."""
    import torch
    from safetensors.torch import load_file, save_file

    output.mkdir(parents=True, exist_ok=True)
    weights = load_file(source / _WEIGHTS)
    halved = {name: value.to(torch.bfloat16).contiguous() for name, value in weights.items()}
    save_file(halved, output / _WEIGHTS, metadata={"format": "pt"})
    # save_file lets its user alone read them.
    (output / _WEIGHTS).chmod((source / _CONFIG).stat().st_mode)
    config = json.loads((source / _CONFIG).read_text(encoding="utf-8"))
    jsonl.write_json(output / _CONFIG, config | {"base_model_name_or_path": base})


def main(argv: Sequence[str]) -> int:
    options = read(AdapterOptions, "adapter", argv)
    output = ship(options)
    print(f"adapter: {output} is ready: redraft serve {output}")
    return 0
