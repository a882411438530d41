"""What is trained in a folder, whether it is finished, and its newest complete checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.server.options import ConfigError
from redraft.train.data.tokens import weights_fingerprint

COMPLETE = "complete.json"  # in a checkpoint folder: every file of it is on disk
_STATE = "training.json"  # in the output folder: what is trained there, and whether it is done


def latest(output: Path) -> Path | None:
    """The newest complete checkpoint. One that a kill left half-written is removed."""
    newest = None
    for folder in sorted(output.glob("checkpoint-*"), key=lambda f: int(f.name.split("-")[1])):
        if (folder / COMPLETE).is_file():
            newest = folder
        elif first_process():
            shutil.rmtree(folder)
    return newest


def first_process() -> bool:
    """Whether this process writes and prints for a training on several."""
    return os.environ.get("RANK", "0") == "0"


_NAMES = {"model", "output", "lessons", "responses", "pairs", "judgements", "dry_run"}


def identity(options: Mapping[str, Any], model: str, files: tuple[str, ...]) -> str:
    """Changes when anything that decides the weights changes; where things lie does not."""
    deciding = {name: value for name, value in options.items() if name not in _NAMES}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode())
    start = weights_fingerprint(Path(model)) if Path(model).is_dir() else model
    digest.update(start.encode())
    for file in files:
        if not Path(file).is_file():  # a data set, by name
            digest.update(file.encode())
            continue
        with open(file, "rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def claim(output: Path, name: str) -> bool:
    """Take the folder for the training ``name``; True when that was finished there before."""
    state = output / _STATE
    if state.is_file():
        known = json.loads(state.read_text(encoding="utf-8"))
        if known["identity"] != name:
            raise ConfigError(
                f"{output} belongs to a training with other options or data; give another "
                f"--output, or delete the folder to start over"
            )
        return bool(known["finished"])
    if first_process():
        jsonl.write_json(state, {"identity": name, "finished": False})
    return False


def train(trainer: Any, output: Path) -> Mapping[str, Any]:
    """Train from the newest checkpoint to the end and save the model; returns the figures."""
    start = latest(output)
    if start is not None:
        print(f"going on from {start}")
    result = trainer.train(resume_from_checkpoint=None if start is None else str(start))
    trainer.save_model(str(output))
    return {**result.metrics, "steps": result.global_step}


def finish(output: Path, name: str, figures: Mapping[str, Any]) -> None:
    """Record that the training is done and remove its checkpoints."""
    if not first_process():
        return
    jsonl.write_json(output / _STATE, {"identity": name, "finished": True, **figures})
    for folder in output.glob("checkpoint-*"):
        shutil.rmtree(folder)


def adapter_base(model: Path | str) -> str | None:
    """The base of the adapter in a folder; None: there is none."""
    config = Path(model) / "adapter_config.json"
    if not config.is_file():
        return None
    return str(json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"])
