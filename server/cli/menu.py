"""The `redraft` command and its programs. Each imports only what it needs.

Run: redraft --help
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from redraft import __version__


@dataclass(frozen=True, slots=True)
class Command:
    """A program of ours; ``module`` has ``main(arguments) -> exit code``."""

    module: str
    about: str
    extra: str = ""  # what brings its libraries; empty: the bare install
    trainer_libraries: tuple[str, ...] = ()  # libraries of the extra ``train`` that parts of it use


COMMANDS = {
    "serve": Command("redraft.server.run", "serve a model behind the OpenAI API", "cpu"),
    "models": Command("redraft.server.cli.models", "list the models at hand"),
    "fetch": Command("redraft.server.cli.fetch", "fetch a model, and print its directory", "cpu"),
    "doctor": Command("redraft.server.cli.doctor", "say whether a model can be served here"),
    "keys": Command("redraft.server.cli.keys", "make API keys for a server"),
    "chat": Command("redraft.clients.chat", "talk to a running server in the terminal"),
    "train": Command(
        "redraft.train.__main__", "teach a model to give itself feedback and refine", "train"
    ),
    "bench": Command(
        "redraft.benchmarks.__main__",
        "measure a running server",
        "bench",
        ("datasets", "peft", "tqdm", "torch", "transformers", "trl", "yaml"),
    ),
    "install": Command("redraft.install", "bring the libraries that a command needs"),
    "sbom": Command("redraft.sbom", "list what is installed, as CycloneDX"),
    "audit": Command("redraft.audit", "compare what is installed with advisories", "dev"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        try:
            return dispatch(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for instance, closed its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def dispatch(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if name in ("-V", "--version"):
        print(f"redraft {__version__}")
        return 0
    if name not in COMMANDS:
        return complain(f"unknown command {name!r}; known: {', '.join(COMMANDS)}")
    return run(name, rest)


def run(name: str, arguments: list[str]) -> int:
    """Import one program and run it; report a missing library with the command that brings it."""
    command = COMMANDS[name]
    try:
        return int(importlib.import_module(command.module).main(arguments) or 0)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if not command.extra or library in ("", "redraft"):
            raise
        extra = "train" if library in command.trainer_libraries else command.extra
        return complain(f"{name} needs {library!r}; run: redraft install {extra}")


def usage() -> str:
    lines = [f"  {name:<8} {command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        ["usage: redraft COMMAND ...", "", *lines, "", "redraft COMMAND --help says more."]
    )


def complain(message: str) -> int:
    print(f"redraft: {message}", file=sys.stderr)
    return 2
