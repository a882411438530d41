"""What every training program has in common: how it reads its options, and how it fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from redraft.server.engine.base import EngineError
from redraft.server.jsonl import UNUSABLE_PATH, FileError, unusable_path
from redraft.server.options import ConfigError
from redraft.server.options import read as read_options
from redraft.train.data.ledger import LedgerError

T = TypeVar("T")


def read(
    cls: type[T], stage: str, arguments: Sequence[str], environ: Mapping[str, str] = os.environ
) -> T:
    """The options of a stage. Its file holds what a recipe says, so it wins over the environment:
    command line > recipe or --config file > environment > default."""
    program = f"redraft train {stage}"
    return read_options(cls, program, arguments, environ, prefix=prefix(stage), file_wins=True)


def prefix(stage: str) -> str:
    """What the environment variables of a stage begin with."""
    return f"REDRAFT_{stage}_".upper()


def run(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> int:
    """The exit status of a program; a problem is one line, not a traceback."""
    try:
        return main(sys.argv[1:] if arguments is None else arguments)
    except (ConfigError, EngineError, LedgerError, FileError) as problem:
        print(f"redraft train: {problem}", file=sys.stderr)
        return 2
    except UNUSABLE_PATH as problem:
        print(f"redraft train: {unusable_path(problem)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("redraft train: stopped; the same command goes on from here", file=sys.stderr)
        return 130
