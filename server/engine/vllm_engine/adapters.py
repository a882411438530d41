"""LoRA adapters, as peft saves them: what vLLM takes of them, checked before it starts.

vLLM refuses an adapter only when its process runs already, with a page of output; these checks
read the adapter's two files and say it in one line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.server.engine.base import EngineError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vLLM reserves room for one of these
# Features of peft that change what an adapter does and that vLLM does not have.
UNSUPPORTED = (
    "modules_to_save",
    "use_dora",
    "lora_bias",
    "alora_invocation_tokens",
    "layer_replication",
    "use_bdlora",
    "use_qalora",
)
Shapes = dict[str, tuple[int, ...]]
_LARGEST_HEADER = 100 << 20  # bytes; safetensors' own limit


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter, and the name that calls ask it by."""

    name: str
    path: Path  # a directory with adapter_config.json and adapter_model.safetensors


def check(adapters: Sequence[Adapter], model: Path) -> None:
    """Raise EngineError, in one line, if vLLM could not serve these on the model."""
    if not adapters:
        return
    base = _shapes_of(sorted(model.glob("*.safetensors")))
    for adapter in adapters:
        where = f"adapter {adapter.name!r} ({adapter.path})"
        config = _config(adapter.path, where)
        _check_features(config, where)
        shapes = _shapes_of([adapter.path / WEIGHTS])
        if not shapes:
            raise EngineError(f"{where} has no {WEIGHTS}; save it with peft's save_pretrained")
        if problem := _mismatch(shapes, base):
            trained_on = config.get("base_model_name_or_path") or "another model"
            raise EngineError(
                f"{where} does not belong to {model}: {problem}; it was trained on {trained_on}"
            )


def arguments(adapters: Sequence[Adapter]) -> list[str]:
    """The arguments of vLLM's command line; none without adapters."""
    if not adapters:
        return []
    rank = max(_rank(_config(adapter.path, adapter.name)) for adapter in adapters)
    modules = [json.dumps({"name": a.name, "path": str(a.path)}) for a in adapters]
    # With no slot left over, vLLM 0.32 on a CPU has the last adapter write the base's completions
    # too, where a batch holds both.
    slots = len(adapters) + 1
    reserved = next((most for most in RANKS if most >= rank), RANKS[-1])
    return [
        "--enable-lora",
        *("--max-loras", str(slots)),
        *("--max-lora-rank", str(reserved)),
        *("--lora-modules", *modules),
    ]


def _config(path: Path, where: str) -> dict[str, Any]:
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineError(f"{where} is not an adapter: there is no {CONFIG}") from error
    except (OSError, ValueError) as error:
        raise EngineError(f"{where}: cannot read its {CONFIG}: {error}") from error
    if not isinstance(config, dict):
        raise EngineError(f"{where}: its {CONFIG} is not a JSON object")
    return config


def _check_features(config: dict[str, Any], where: str) -> None:
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise EngineError(f"{where} is of type {kind}; vLLM serves LORA only")
    rank = _rank(config)
    if not 1 <= rank <= RANKS[-1]:
        raise EngineError(f"{where} has rank {rank}; vLLM takes 1 to {RANKS[-1]}")
    used = [name for name in UNSUPPORTED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if used:
        raise EngineError(
            f"{where} uses {', '.join(used)}, which vLLM does not have; merge the adapter into its "
            f"base and serve that"
        )


def _rank(config: dict[str, Any]) -> int:
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    return max((rank for rank in ranks if isinstance(rank, int)), default=0)


def _shapes_of(files: Sequence[Path]) -> Shapes:
    """The shape of each tensor in safetensors files, from their headers."""
    shapes: Shapes = {}
    for path in files:
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > _LARGEST_HEADER:
                    raise ValueError("its header is too long")
                header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            shapes |= {name: tuple(tensor["shape"]) for name, tensor in header.items()}
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise EngineError(f"{path} is not a safetensors file: {error}") from error
    return shapes


def _mismatch(adapter: Shapes, base: Shapes) -> str | None:
    """Why these adapter weights cannot be added to the base's; None where they can, or where the
    base names its weights otherwise, so that only vLLM can tell."""
    shared, missing = False, ""
    for name, shape in adapter.items():
        module, _, side = name.removeprefix("base_model.model.").rpartition(".lora_")
        if side not in ("A.weight", "B.weight"):
            continue
        weight = base.get(f"{module}.weight")
        if weight is None:
            missing = missing or module
            continue
        shared = True
        reads = side == "A.weight"
        got, expected = (shape[-1], weight[-1]) if reads else (shape[0], weight[0])
        if got != expected:
            what = "inputs" if reads else "outputs"
            return f"{module} has {expected} {what} there and {got} in the adapter"
    return f"it has no {missing}" if shared and missing else None
