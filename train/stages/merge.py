"""The tuned model, ready to serve: adapter folded in, tokenizer beside it, redraft.json written.

redraft train merge --model DIR/stage2 --output MODEL
redraft serve MODEL
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from redraft.server import jsonl
from redraft.server.options import ConfigError, option
from redraft.server.refine import manifest
from redraft.server.refine.srt_format import COMPONENTS, in_order
from redraft.train import weights
from redraft.train.data import tokens
from redraft.train.program import read

_BESIDE = (
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.*",
    "merges.txt",
    "added_tokens.json",
    "*.model",
)


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """A folder that 'redraft serve' takes as it is."""

    model: str = option("folder of the tuned model, whole or an adapter")
    output: str = option("folder for the model to serve")
    base: str | None = option("base of the adapter; none: the one its config names", None)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = option("of the weights", "bfloat16")
    components: tuple[str, ...] = option("parts of the feedback it was taught", COMPONENTS)
    max_iterations: int = option("default policy of the server", 1)
    good_enough: int | None = option("score that is not refined any further", None)
    keep: Literal["best", "last"] = option("which response is the answer", "last")
    calibration: str | None = option("JSON: [{score, responses, right}], measured", None)
    evaluation: str | None = option("JSON of figures for the manifest", None)


def merge(options: MergeOptions) -> Path:
    source, output = Path(options.model), Path(options.output)
    components = taught(options.components, options.good_enough, options.keep)
    if not source.is_dir():
        raise ConfigError(f"no model folder {source}")
    calibration = _calibration(options.calibration)
    figures = evaluation(options.evaluation)
    output.mkdir(parents=True, exist_ok=True)
    model = weights.load(source, options.dtype, options.base)
    tokenizer = tokens.load(source)
    srt_format = replace(tokenizer.srt_format(_eos_ids(model)), components=components)
    model.generation_config.update(
        # A phase ends at a marker too, so direct mode must stop there as well.
        eos_token_id=list(srt_format.stop_token_ids()),
        pad_token_id=tokenizer.loaded.pad_token_id,
    )
    model.save_pretrained(output)
    for pattern in _BESIDE:
        for file in source.glob(pattern):
            shutil.copy2(file, output / file.name)
    manifest.write(
        output,
        srt_format,
        manifest.DefaultPolicy(options.max_iterations, options.good_enough, options.keep),
        calibration,
        figures,
    )
    return output


def taught(given: Sequence[str], good_enough: int | None, keep: str) -> tuple[str, ...]:
    """The components of the feedback, in their order; ConfigError where they do not go with what
    is made of it."""
    components = tuple(name for name in given if name)
    if unknown := set(components) - set(COMPONENTS):
        known = ", ".join(COMPONENTS)
        raise ConfigError(f"unknown feedback component {min(unknown)!r}; known: {known}")
    if not components:
        raise ConfigError(
            "a model that was taught no feedback has nothing to refine with; serve its folder as "
            "it is, for direct answers"
        )
    if "score" not in components and (good_enough is not None or keep == "best"):
        raise ConfigError(
            "good_enough and keep best need scores, and the components of the feedback are "
            f"{', '.join(components)}; leave them out"
        )
    return in_order(components)


def _eos_ids(model: Any) -> tuple[int, ...]:
    eos = model.generation_config.eos_token_id
    if eos is None:
        return ()
    return tuple(eos) if isinstance(eos, list) else (eos,)


def _calibration(path: str | None) -> tuple[manifest.Calibration, ...]:
    rows = [] if path is None else jsonl.read_document(Path(path))
    try:
        return tuple(manifest.Calibration(**row) for row in rows)
    except TypeError as error:
        raise jsonl.FileError(f"{path} needs a list of score, responses, right: {error}") from error


def evaluation(path: str | None) -> Mapping[str, Any]:
    """The figures of a file, for the manifest; none without a file."""
    figures = {} if path is None else jsonl.read_document(Path(path))
    if not isinstance(figures, Mapping):
        raise jsonl.FileError(f"{path} needs an object of figures, got {str(figures)[:80]}")
    return figures


def main(argv: Sequence[str]) -> int:
    options = read(MergeOptions, "merge", argv)
    output = merge(options)
    print(f"merge: {output} is ready: redraft serve {output}")
    return 0
