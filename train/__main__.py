"""The trainer's commands by name: ``redraft train STAGE ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from redraft.train.program import run
from redraft.train.stages import STAGES

# name: the module whose ``main`` runs it, and what it does
_COMMANDS = {
    **{name: (stage.path, stage.description) for name, stage in STAGES.items()},
    "run": ("redraft.train.run", "all stages of a recipe; goes on where it stopped"),
    "exact": ("redraft.train.exact.serve", "serve the workbench's exact critic and judge"),
}


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: redraft train STAGE [options]; each stage has --help\n")
        print("\n".join(f"  {name:12} {what}" for name, (_, what) in _COMMANDS.items()))
        return 0
    name, *rest = argv
    if name not in _COMMANDS:
        print(f"unknown stage {name!r}; stages: {', '.join(_COMMANDS)}", file=sys.stderr)
        return 2
    module, _ = _COMMANDS[name]
    return run(import_module(module).main, rest)


if __name__ == "__main__":
    sys.exit(main())
