"""A repository of the hub: its name, and which of its files serving the model takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine.settings import what_is_missing

NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?")
# Names of files beside the weights; those in folders are for other programs.
PLAIN = re.compile(r".*\.(json|jinja|txt|model|tiktoken|py)")
# In this order: only the first kind that a repository has is fetched.
WEIGHTS = (
    re.compile(r"model(-\d+-of-\d+)?\.safetensors"),
    re.compile(r"(?!adapter_).*\.safetensors"),
    re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin"),
)
ADAPTER = {"adapter_config.json", "adapter_model.safetensors"}
GGUF_ADVICE = (
    "vLLM does not read them here; name the repository with the original weights, or have "
    "llama-server read them (llama-server -m FILE --port 8001) and serve it with "
    "--engine http --upstream http://127.0.0.1:8001/v1"
)


@dataclass(frozen=True)
class HubName:
    """OWNER/NAME or OWNER/NAME@REVISION."""

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubName | None:
        """None when that is no name of the hub."""
        parts = NAME.fullmatch(text)
        return cls(parts["repo"], parts["revision"]) if parts else None

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def needed(sizes: Mapping[str, int], name: HubName) -> list[str]:
    """The files of a repository that serving its model, or its adapter, takes; EngineError where
    vLLM cannot."""
    top = [file for file in sizes if "/" not in file]
    for kind in WEIGHTS:
        if weights := [file for file in top if kind.fullmatch(file)]:
            plain = [file for file in top if PLAIN.fullmatch(file)]
            files = sorted([*plain, *weights])
            if missing := what_is_missing(files):
                raise EngineError(f"{name} {missing}")
            return files
    if set(top) >= ADAPTER:
        return sorted({*ADAPTER, *(file for file in top if PLAIN.fullmatch(file))})
    if any(file.endswith(".gguf") for file in sizes):
        raise EngineError(f"{name} has GGUF files only: {GGUF_ADVICE}")
    raise EngineError(f"{name} has no weights that vLLM reads ({', '.join(_kinds(sizes))})")


def _kinds(files: Iterable[str]) -> list[str]:
    """The suffixes of the files, as an error shows what a repository has instead."""
    return sorted({Path(file).suffix for file in files} - {""}) or ["it is empty"]
