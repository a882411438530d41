"""The models that can be served by name without looking further: shipped, aliases, cached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redraft.server.build.aliases import ALIASES, cache_folder
from redraft.server.build.names import DEFAULT, SHIPPED, shipped
from redraft.server.engine.vllm_engine.settings import what_is_missing


@dataclass(frozen=True)
class ModelAtHand:
    """``name`` is what ``redraft serve`` takes."""

    name: str
    kind: Literal["shipped", "alias", "hub"]
    num_bytes: int  # of an alias that is not here: once it is
    directory: Path | None  # None: fetched when it is first served
    about: str


def models_at_hand(cache: str = "") -> list[ModelAtHand]:
    return [*_shipped(), *_aliases(cache), *_cached()]


def _shipped() -> Iterator[ModelAtHand]:
    for name in shipped():
        directory = SHIPPED / name
        num_bytes = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        about = "what redraft serve takes without a name" if name == DEFAULT else ""
        yield ModelAtHand(name, "shipped", num_bytes, directory, about)


def _aliases(cache: str) -> Iterator[ModelAtHand]:
    for alias in ALIASES.values():
        directory = alias.directory(cache_folder(cache))
        here = directory if directory.is_dir() else None
        yield ModelAtHand(alias.name, "alias", alias.made_bytes, here, alias.about)


def _cached() -> Iterator[ModelAtHand]:
    try:
        cached = _models_of_the_hub()
    except ModuleNotFoundError:  # without the libraries of an engine nothing comes from the hub
        return
    for repo in sorted(cached, key=lambda repo: str(repo.repo_id)):
        for revision in repo.revisions:
            files = {file.file_name for file in revision.files}
            if "config.json" not in files:
                continue  # an adapter, or a tokenizer alone
            refs = sorted(revision.refs)
            at = "" if "main" in refs else f"@{refs[0] if refs else revision.commit_hash}"
            about = f"it {lack}" if (lack := what_is_missing(files)) else ""
            name = f"{repo.repo_id}{at}"
            yield ModelAtHand(
                name, "hub", revision.size_on_disk, Path(revision.snapshot_path), about
            )


def _models_of_the_hub() -> list[Any]:
    """Those in its cache, as huggingface_hub describes them; none where there is no cache."""
    import huggingface_hub

    try:
        cache = huggingface_hub.scan_cache_dir()
    except huggingface_hub.CacheNotFound:
        return []
    return [repo for repo in cache.repos if repo.repo_type == "model"]
