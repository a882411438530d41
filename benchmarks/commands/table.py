"""Commands by name, in a table: the modules behind them are imported only when they are run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.server.jsonl import UNUSABLE_PATH, FileError, unusable_path
from redraft.server.options import ConfigError

UNUSABLE, FAILED, INTERRUPTED = 2, 1, 130  # exit codes


@dataclass(frozen=True, slots=True)
class CommandTable:
    program: str  # as the user calls it
    package: str  # with a module for each command, with ``main(arguments) -> exit code``
    commands: Mapping[str, str]  # name, and one line about it
    about: str = ""

    def run(self, arguments: Sequence[str]) -> int:
        """Run the command named by the first argument with the others."""
        name, *rest = arguments or ["--help"]
        if name in ("-h", "--help"):
            print(f"usage: {self.program} NAME [options]; each has --help\n")
            if self.about:
                print(f"{self.about.strip()}\n")
            width = max(map(len, self.commands))
            print("\n".join(f"  {each:{width}} {about}" for each, about in self.commands.items()))
            return 0
        if name not in self.commands:
            known = ", ".join(self.commands)
            print(f"{self.program}: unknown {name!r}; known: {known}", file=sys.stderr)
            return UNUSABLE
        try:
            with interrupted_by_sigterm():
                code: int = self.module(name).main(rest)
                return code
        except UNUSABLE_PATH as error:
            reason, code = unusable_path(error), UNUSABLE
        except (ConfigError, FileError) as error:
            reason, code = str(error), UNUSABLE
        except MeasurementFailed as error:
            reason, code = str(error), FAILED
        except KeyboardInterrupt:
            reason, code = "stopped; the same command goes on from here", INTERRUPTED
        print(f"{self.program} {name}: {reason}", file=sys.stderr)
        return code

    def module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name.replace('-', '_')}")


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that child programs are stopped on the way out."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
