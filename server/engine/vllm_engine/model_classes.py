"""The classes by which vLLM runs models: which it has, and whether they can be imported here."""

from __future__ import annotations

import importlib.metadata
import logging
import os

from redraft.server.engine.base import EngineError

# Of the ordinary index those for Linux are made for GPUs, and break the import of others' torch.
OF_TORCH = ("torchvision", "torchaudio", "torchcodec")


def unknown_architectures(architectures: list[str]) -> list[str]:
    """Those that the installed vLLM does not know."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    hide_triton()
    from vllm import ModelRegistry

    known = ModelRegistry.get_supported_archs()
    return [name for name in architectures if name not in known]


def import_classes(architectures: list[str]) -> None:
    """Import them here, before the fork; otherwise vLLM starts another process, for 6 s, to inspect
    a class that is not imported. EngineError for one that needs a library which is not here."""
    from vllm import ModelRegistry

    for name in architectures:
        if entry := ModelRegistry.models.get(name):
            try:
                ModelRegistry.register_model(name, entry.load_model_cls())
            except ImportError as error:
                raise EngineError(f"vLLM's {name} cannot be imported: {_why(error)}") from error


def hide_triton() -> None:
    """Where torch misses triton, which a CPU does not need, it says so in a line of its own."""
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)


def _why(error: ImportError) -> str:
    first = (str(error).splitlines() or ["no reason given"])[0]
    if error.name not in OF_TORCH:
        return first
    return (
        f"it needs {error.name}; for a CPU add the build that belongs to torch "
        f"{importlib.metadata.version('torch')}, from https://download.pytorch.org/whl/cpu (for a "
        f"GPU run: redraft install cuda)"
    )
