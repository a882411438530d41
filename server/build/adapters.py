"""What is served on one engine: the base, the adapters on it, and who writes which phase.

    redraft serve BASE --lora poet=DIRECTORY      poet beside BASE
    redraft serve ADAPTER                         the adapter's base, with the adapter, as one model

The ``redraft.json`` of an adapter or of the base may say which adapter writes which phase.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from redraft.server.build.names import ModelFiles
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import Adapter
from redraft.server.engine.vllm_engine.adapters import CONFIG
from redraft.server.options import ConfigError
from redraft.server.refine import manifest
from redraft.server.refine.adapters import NO_ADAPTERS, PhaseAdapters
from redraft.server.refine.manifest import Manifest, ManifestError

Find = Callable[[str], Awaitable[ModelFiles]]  # the files of a model or an adapter, by its name
ITSELF = PhaseAdapters.all(".")


@dataclass(frozen=True, slots=True)
class Variant:
    """One name that is served."""

    name: str  # empty: the engine's own name for its model
    manifest: Manifest | None = None
    adapters: PhaseAdapters = NO_ADAPTERS


@dataclass(frozen=True, slots=True)
class Lineup:
    """Everything served on one engine."""

    base: ModelFiles | None  # None when the engine needs none
    main: Variant
    others: tuple[Variant, ...] = ()
    adapters: tuple[Adapter, ...] = ()  # to be loaded

    @property
    def names(self) -> set[str]:
        """The adapters that calls will name."""
        return {name for served in (self.main, *self.others) for name in served.adapters.names}


async def read(config: ServerConfig, model: ModelFiles | None, find: Find) -> Lineup:
    """The lineup of a configuration with these files of its model. Raises ConfigError,
    ManifestError or EngineError, each in one line."""
    loras = _loras(config)
    if config.engine == "scripted" and loras:
        raise ConfigError("--lora is for --engine vllm and http, and the engine is scripted")
    if config.engine == "http":
        return _upstream(model, loras)
    if model is None:
        return Lineup(None, Variant(""))
    places = {name: (await find(place)).directory for name, place in loras.items()}
    lineup = await _local(config, model, places, find)
    own_name = config.served_name or model.name
    check_names(lineup, lineup.base.name if lineup.base and lineup.main.name else own_name)
    return lineup


def check_names(lineup: Lineup, engine_model: str) -> None:
    """Raise ConfigError where an adapter would be served by the name of the model; ``engine_model``
    is what the engine calls it."""
    for variant in lineup.others:
        if variant.name in (lineup.main.name, engine_model):
            raise ConfigError(
                f"an adapter of --lora has the name {variant.name!r}, which is the model's; give "
                f"it another"
            )


def _loras(config: ServerConfig) -> dict[str, str]:
    """Name -> directory, hub name, or the upstream's name."""
    loras: dict[str, str] = {}
    for text in config.lora:
        name, _, place = text.partition("=")
        if not name or not (place or config.engine == "http"):
            raise ConfigError(f"--lora is {text!r}, expected NAME=ADAPTER, such as poet=runs/poet")
        if name in loras:
            raise ConfigError(f"two adapters of --lora have the name {name!r}")
        loras[name] = place or name
    return loras


async def _local(
    config: ServerConfig, model: ModelFiles, places: Mapping[str, Path], find: Find
) -> Lineup:
    loaded = _Loaded(places)
    base, directory = model, model.directory
    if is_adapter(directory):
        base = await base_of(directory, find)
        main = loaded.main(config.served_name or model.name, directory, base.directory)
    else:
        main = loaded.variant("", directory, directory, NO_ADAPTERS)
    others = tuple(
        loaded.variant(name, path, base.directory, ITSELF) for name, path in places.items()
    )
    return Lineup(base, main, others, loaded.adapters())


class _Loaded:
    """The adapters of one engine, each loaded once, by the name of its directory unless it was
    given another."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = places
        self._names = {path.resolve(): name for name, path in places.items()}
        self._used: dict[Path, str] = {}

    def main(self, name: str, directory: Path, base: Path) -> Variant:
        """The adapter that is the model, on its base."""
        self._names.setdefault(directory.resolve(), name)
        return self.variant(name, directory, base, ITSELF)

    def variant(self, name: str, directory: Path, base: Path, default: PhaseAdapters) -> Variant:
        phases = manifest.read_adapters(directory).adapters or default
        recorded = manifest.read(directory, base)
        if recorded is None and directory != base:
            recorded = manifest.read(base)
        names = {text: self._name_of(text, directory) for text in phases.names}
        return Variant(name, recorded, phases.renamed(names))

    def adapters(self) -> tuple[Adapter, ...]:
        names = list(self._used.values())
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"two adapters have the name {twice[0]!r}; name them with --lora")
        return tuple(Adapter(name, path) for path, name in self._used.items())

    def _name_of(self, text: str, directory: Path) -> str:
        path = self._places.get(text, directory / text).resolve()
        if not path.is_dir():
            known = ", ".join(self._places) or "none"
            raise ManifestError(
                f"{directory / manifest.NAME} names the adapter {text!r}, which is neither a "
                f"directory beside it nor one of --lora ({known})"
            )
        return self._used.setdefault(path, self._names.get(path, path.name))


def is_adapter(directory: Path) -> bool:
    return (directory / CONFIG).is_file()


async def base_of(directory: Path, find: Find) -> ModelFiles:
    """The files of an adapter's base."""
    named = manifest.read_adapters(directory).base or _trained_on(directory)
    if not named:
        raise ManifestError(
            f"{directory} is an adapter and does not say of which model; put its name or directory "
            f'as "base" into {manifest.NAME}'
        )
    try:
        base = _beside(directory, named) or await find(named)
    except EngineError as error:
        raise EngineError(f"the base of the adapter {directory}: {error}") from error
    if is_adapter(base.directory):
        raise EngineError(f"the base of the adapter {directory} is an adapter, too: {base.name}")
    return base


def _beside(directory: Path, name: str) -> ModelFiles | None:
    path = (directory / name).resolve()
    return ModelFiles(path, path.name) if path.is_dir() else None


def _trained_on(directory: Path) -> str:
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        return str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise EngineError(f"cannot read {directory / CONFIG}: {error}") from error


def _upstream(model: ModelFiles | None, loras: Mapping[str, str]) -> Lineup:
    """What is served from an upstream, which has its adapters loaded and lists them as models."""
    if model is None:
        main = Variant("")
    else:
        directory, adapter = model.directory, is_adapter(model.directory)
        phases = manifest.read_adapters(directory).adapters or (ITSELF if adapter else NO_ADAPTERS)
        names = {t: loras.get(t) or (directory / t).resolve().name for t in phases.names}
        name = model.name if adapter else ""
        main = Variant(name, manifest.read(directory), phases.renamed(names))
    others = (Variant(name, main.manifest, PhaseAdapters.all(to)) for name, to in loras.items())
    return Lineup(model, main, tuple(others))
