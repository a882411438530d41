"""Lists the models at hand. Run: redraft models"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.server import options
from redraft.server.build.at_hand import ModelAtHand, models_at_hand
from redraft.server.build.fetching import size
from redraft.server.options import ConfigError, option


@dataclass(frozen=True)
class ListOptions:
    """Lists the models at hand: those shipped, those with a short name, and the hub's cache.

    Each name is what redraft serve takes. Any other model of the hub is served by its name, too.
    """

    json: bool = option("a JSON list instead of a table", False)
    cache_dir: str = option("folder for models made from packages; off: ~/.cache/redraft", "")


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        chosen = options.read(ListOptions, "redraft models", arguments)
    except ConfigError as error:
        print(f"redraft models: {error}", file=sys.stderr)
        return 2
    models = models_at_hand(chosen.cache_dir)
    if chosen.json:
        print(json.dumps([as_json(model) for model in models], indent=2))
    else:
        print(table(models))
    return 0


def as_json(model: ModelAtHand) -> dict[str, object]:
    directory = str(model.directory) if model.directory else None
    return {**dataclasses.asdict(model), "directory": directory}


def table(models: Sequence[ModelAtHand]) -> str:
    rows = [(model.name, size(model.num_bytes), model.kind, _remark(model)) for model in models]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def _remark(model: ModelAtHand) -> str:
    where = str(model.directory) if model.directory else "fetched when it is first served"
    return f"{where} ({model.about})" if model.about else where
