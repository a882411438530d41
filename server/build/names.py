"""Which model a name stands for, and where its files are: the one place that reads such names.

a directory          as it is
redraft-workbench    a shipped model or adapter
no name              the shipped one that is the default
smollm2              an alias: made once, in redraft's own cache
OWNER/NAME           a model of the hub, in the hub's cache; OWNER/NAME@REVISION
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redraft.server.build import aliases, hub_process
from redraft.server.build.fetching import Fetching
from redraft.server.build.hub import Hub
from redraft.server.build.repository import GGUF_ADVICE, HubName
from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import memory
from redraft.server.options import ConfigError
from redraft.server.refine import manifest

# redraft/models: a link to models/ in a checkout, part of the package where it is installed.
SHIPPED = Path(__file__).parents[2] / "models"
DEFAULT = "redraft-smollm2"
FALLBACK = "redraft-workbench"  # needs nothing from elsewhere


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, and what clients call it unless the operator chooses another name."""

    directory: Path
    name: str
    from_hub: bool = False  # and may take more from there, such as its code
    bytes_to_come: int = 0  # weights that are not here yet; see ``look``


def shipped() -> list[str]:
    return sorted(path.parent.name for path in SHIPPED.glob("*/redraft.json"))


def find(name: str, cache: str, fetching: Fetching, *, on_cpu: bool = True) -> ModelFiles:
    """The files of the model ``name``, fetched if need be; an empty name is the default.
    EngineError or ConfigError, in one line, where there is none."""
    if not name:
        return _default(lambda base: find(base, cache, fetching, on_cpu=on_cpu), fetching)
    if here := _here(name):
        return here
    if alias := aliases.ALIASES.get(name):
        return ModelFiles(aliases.fetch(alias, aliases.cache_folder(cache), fetching), name)
    hub_name = _hub_name(name)
    most = memory.whole_bytes() if on_cpu else None
    directory = hub_process.fetch(hub_name, fetching, most)
    return ModelFiles(directory, hub_name.repo, from_hub=True)


def look(name: str, cache: str, fetching: Fetching, *, on_cpu: bool = True) -> ModelFiles:
    """As ``find``, without fetching any weights. ``directory`` does not exist for an alias that
    is not made yet."""
    if not name:
        return _default(lambda base: look(base, cache, fetching, on_cpu=on_cpu), fetching)
    if here := _here(name):
        return here
    if alias := aliases.ALIASES.get(name):
        folder = aliases.cache_folder(cache)
        if alias.is_made(folder):
            return ModelFiles(alias.directory(folder), name)
        aliases.check_reader(alias)
        aliases.check_index(alias)
        return ModelFiles(alias.directory(folder), name, bytes_to_come=alias.wheel_bytes)
    hub_name = _hub_name(name)
    most = memory.whole_bytes() if on_cpu else None
    directory, to_come = Hub().look(hub_name, fetching, most)
    return ModelFiles(directory, hub_name.repo, from_hub=True, bytes_to_come=to_come)


def _here(name: str) -> ModelFiles | None:
    """A directory, or a shipped model."""
    path = Path(name).expanduser()
    if path.is_dir():
        return ModelFiles(path, path.resolve().name)
    if name in shipped():
        return ModelFiles(SHIPPED / name, name)
    return None


def _hub_name(name: str) -> HubName:
    """EngineError, with what to do, for what is no name of the hub."""
    path = Path(name).expanduser()
    if ".gguf" in name.lower():
        raise EngineError(f"{name} names a GGUF file: {GGUF_ADVICE}")
    if path.exists():
        raise EngineError(f"{name} is a file; give the directory that it is in")
    if hub_name := HubName.parse(name):
        return hub_name
    if ":" in name:
        raise EngineError(
            f"{name} names a quantization in GGUF (a revision follows an @): {GGUF_ADVICE}"
        )
    known = ", ".join([*shipped(), *aliases.ALIASES])
    raise EngineError(
        f"no model directory at {name}, and no model of that name; give the directory that holds "
        f"the weights, a name of the hub (OWNER/NAME), or one of {known}"
    )


def _default(find_base: Callable[[str], ModelFiles], fetching: Fetching) -> ModelFiles:
    """The default, where its base can be had; else the model that needs nothing, and why."""
    if not (SHIPPED / FALLBACK).is_dir():
        raise ConfigError(
            f"there is no model at {SHIPPED / FALLBACK}; name one with --model NAME, or try the "
            f"server without a model: --engine scripted"
        )
    try:
        find_base(manifest.read_adapters(SHIPPED / DEFAULT).base)
        return ModelFiles(SHIPPED / DEFAULT, DEFAULT)
    except EngineError as error:
        fetching.say(f"{DEFAULT} cannot be served here, so {FALLBACK} is: {error}")
        return ModelFiles(SHIPPED / FALLBACK, FALLBACK)
