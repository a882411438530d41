"""Models of the hub: what they take of disk and memory, and getting them into its cache.

The cache, the token and the address are those of huggingface_hub: HF_HOME, HF_TOKEN, HF_ENDPOINT,
HF_HUB_OFFLINE. What is in the cache is served without the hub when that cannot be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.server.build.fetching import Fetching, FetchingStopped, free_disk, size
from redraft.server.build.progress_bar import DownloadMeter
from redraft.server.build.repository import PLAIN, HubName, needed
from redraft.server.engine.base import EngineError

INFO_S = 20


@dataclass(frozen=True)
class _Plan:
    files: list[str]
    missing: dict[str, int]  # those that the cache does not have, and their sizes


class _NoAnswer(Exception):
    """The hub does not answer, for this cause."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True)
class Hub:
    """None means: as huggingface_hub has it."""

    endpoint: str | None = None
    cache: Path | None = None

    def fetch(self, name: HubName, fetching: Fetching, memory: int | None = None) -> Path:
        """The directory of the model in the cache. ``memory``: the most that its weights may take,
        in bytes; more is refused before anything is downloaded."""
        try:
            plan = self._plan(name, memory)
        except _NoAnswer as error:
            return self._cached(name, fetching, error.cause)
        fetching.check()
        total = sum(plan.missing.values())
        if plan.missing:
            number = f"{len(plan.missing)} file{'s' if len(plan.missing) > 1 else ''}"
            fetching.say(f"fetching {name}: {number}, {size(total)}")
        return self._snapshot(name, plan.files, DownloadMeter(total, fetching))

    def look(
        self, name: HubName, fetching: Fetching, memory: int | None = None
    ) -> tuple[Path, int]:
        """The directory of the model with all files but the weights, and the bytes that ``fetch``
        would still have to get. Refuses what ``fetch`` does."""
        try:
            plan = self._plan(name, memory)
        except _NoAnswer as error:
            return self._cached(name, fetching, error.cause), 0
        plain = [file for file in plan.files if PLAIN.fullmatch(file)]
        to_come = sum(size for file, size in plan.missing.items() if file not in plain)
        return self._snapshot(name, plain, DownloadMeter(0, fetching)), to_come

    def _plan(self, name: HubName, memory: int | None) -> _Plan:
        import huggingface_hub

        try:
            info = huggingface_hub.HfApi(self.endpoint).model_info(
                name.repo, revision=name.revision, files_metadata=True, timeout=INFO_S
            )
        except Exception as error:  # any: what its HTTP library raises differs between versions
            if _unreachable(error):
                raise _NoAnswer(error) from error
            raise EngineError(self._explained(error, name)) from error
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        files = needed(sizes, name)
        self._check_memory(name, {file: sizes[file] for file in files}, memory)
        missing = {file: sizes[file] for file in files if not self._has(name, file, str(info.sha))}
        self._check_disk(name, sum(missing.values()))
        return _Plan(files, missing)

    def _snapshot(self, name: HubName, files: list[str], meter: DownloadMeter) -> Path:
        import huggingface_hub

        try:
            return Path(
                huggingface_hub.snapshot_download(
                    name.repo,
                    revision=name.revision,
                    allow_patterns=files,
                    tqdm_class=meter.bar_class(),
                    endpoint=self.endpoint,
                    cache_dir=self.cache,
                )
            )
        except FetchingStopped:
            raise
        except Exception as error:  # any: as above, and what its other downloaders raise
            raise EngineError(self._explained(error, name)) from error

    def _cached(self, name: HubName, fetching: Fetching, why: Exception) -> Path:
        """The complete model in the cache, without the hub."""
        from huggingface_hub import errors

        offline = isinstance(why, errors.OfflineModeIsEnabled)
        try:
            directory = self._complete(name)
        except errors.LocalEntryNotFoundError:
            cause = (
                "HF_HUB_OFFLINE is set"
                if offline
                else f"the hub at {self.address()} cannot be reached"
            )
            remedy = "unset it" if offline else "check the network or the proxy"
            raise EngineError(
                f"{cause}, and {name} is not complete in {self.cache_folder()}; {remedy}, or give "
                f"the directory of a model"
            ) from why
        if not offline:
            fetching.say(f"the hub cannot be reached; {name} is in the cache")
        return directory

    def _complete(self, name: HubName) -> Path:
        """The directory in the cache; LocalEntryNotFoundError when it lacks a file that is needed,
        as far as the listing says that huggingface_hub keeps there."""
        import huggingface_hub

        where: Any = {"revision": name.revision, "cache_dir": self.cache}
        try:
            listed = huggingface_hub.get_cached_repo_tree(name.repo, **where)
            files = needed({file.path: file.size for file in listed}, name)
        except huggingface_hub.errors.CachedRepoTreeNotFoundError:
            files = None  # an old cache, or an empty one
        return Path(
            huggingface_hub.snapshot_download(
                name.repo, allow_patterns=files, local_files_only=True, **where
            )
        )

    def _has(self, name: HubName, file: str, commit: str) -> bool:
        import huggingface_hub

        path = huggingface_hub.try_to_load_from_cache(
            name.repo, file, cache_dir=self.cache, revision=commit
        )
        return isinstance(path, str)

    def _check_memory(self, name: HubName, files: dict[str, int], memory: int | None) -> None:
        weights = sum(size for file, size in files.items() if not PLAIN.fullmatch(file))
        if memory is not None and weights > memory:
            raise EngineError(
                f"the weights of {name} take {size(weights)}, and this machine has {size(memory)} "
                f"of memory; choose a smaller model"
            )

    def _check_disk(self, name: HubName, needed: int) -> None:
        folder = self.cache_folder()
        free = free_disk(folder)
        if needed > free:
            raise EngineError(
                f"{name} needs {size(needed)} on the disk of {folder}, which has "
                f"{size(free)} free; free some space, or set HF_HOME to a folder with more"
            )

    def cache_folder(self) -> Path:
        from huggingface_hub import constants

        return self.cache or Path(constants.HF_HUB_CACHE)

    def address(self) -> str:
        from huggingface_hub import constants

        return self.endpoint or str(constants.ENDPOINT)

    def _explained(self, error: BaseException, name: HubName) -> str:
        """One line that says what to do. From the particular error to the general."""
        from huggingface_hub import errors

        if isinstance(error, errors.GatedRepoError):
            return (
                f"{name.repo} is gated: accept its terms at {self.address()}/{name.repo}, and set "
                f"HF_TOKEN to a token of that account (or run: hf auth login)"
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return (
                f"{name.repo} has no revision {name.revision!r}; name a branch, a tag or a commit"
            )
        if isinstance(error, errors.RepositoryNotFoundError):
            return (
                f"there is no directory {name}, and the hub has no model of that name, or it is "
                f"private; check the spelling, and for a private one set HF_TOKEN"
            )
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            return (
                f"the hub refuses the token; set HF_TOKEN to one that may read {name.repo}, or "
                f"unset it"
            )
        if _unreachable(error):
            return (
                f"the connection to the hub at {self.address()} was lost; run again, and what has "
                f"arrived of {name} is kept"
            )
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"cannot fetch {name}: {first}"


def _unreachable(error: BaseException) -> bool:
    """Whether there was no answer, or none that says something of the model."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    # The HTTP library of huggingface_hub is httpx, httpx2 or requests, by its version.
    names = {cls.__name__ for cls in type(error).__mro__}
    return status >= 500 or bool(names & {"TransportError", "ConnectionError"})
