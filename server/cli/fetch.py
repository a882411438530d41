"""Fetches a model and prints its directory. Run: redraft fetch NAME"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.server import options
from redraft.server.build import adapters, names
from redraft.server.build.fetching import Fetching
from redraft.server.build.names import ModelFiles
from redraft.server.engine.base import EngineError
from redraft.server.options import ConfigError, option
from redraft.server.refine.manifest import ManifestError


@dataclass(frozen=True)
class FetchOptions:
    """Fetches a model, and prints the directory that holds it, for whatever takes directories:

    redraft train run smollm2 --set "base=$(redraft fetch smollm2)"

    What redraft serve takes is taken here; of an adapter its base is fetched, too, so that it can
    be served where there is no network.
    """

    model: str = option(
        "a name of the hub (OWNER/NAME@REVISION) or one that redraft models lists; off: what "
        "redraft serve takes without a name",
        "",
        positional="MODEL",
    )
    cache_dir: str = option("folder for models made from packages; off: ~/.cache/redraft", "")


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        chosen = options.read(FetchOptions, "redraft fetch", arguments)
        print(asyncio.run(fetch(chosen)).directory.resolve())
    except (ConfigError, EngineError, ManifestError) as error:
        print(f"redraft fetch: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("redraft fetch: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


async def fetch(chosen: FetchOptions) -> ModelFiles:
    async def find(name: str) -> ModelFiles:
        # Blocks, for there is nothing else to do. What does not fit this machine may fit another.
        return names.find(name, chosen.cache_dir, Fetching(_say), on_cpu=False)

    files = await find(chosen.model)
    if adapters.is_adapter(files.directory):
        await adapters.base_of(files.directory, find)
    return files


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
