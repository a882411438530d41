"""The `redraft` command: serve, chat, train, bench. Each imports only what it needs.

Run: redraft --help
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from redraft import __version__

# command -> (module with main(arguments) -> exit code, extra that brings its libraries, what it is)
COMMANDS = {
    "serve": ("redraft.server.run", "cpu", "serve a model behind the OpenAI API"),
    "chat": ("redraft.clients.chat", "", "talk to a running server in the terminal"),
    "train": (
        "redraft.train.__main__",
        "train",
        "teach a model to give itself feedback and refine",
    ),
    "bench": ("redraft.benchmarks.__main__", "bench", "measure a running server"),
}
OURS = ("server", "train", "clients", "benchmarks")


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        try:
            return chosen(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, `head` say, has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def chosen(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if given[0] in ("-V", "--version"):
        print(f"redraft {__version__}")
        return 0
    if given[0] not in COMMANDS:
        return complain(f"unknown command {given[0]!r}; known: {', '.join(COMMANDS)}")
    return run(given[0], given[1:])


def run(command: str, arguments: list[str]) -> int:
    """Import one program and run it; a missing library is named with what brings it."""
    module, extra, _ = COMMANDS[command]
    try:
        return int(importlib.import_module(module).main(arguments) or 0)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not extra or missing in OURS:
            raise
        return complain(f"{command} needs {missing!r}; run: pip install 'redraft[{extra}]'")


def usage() -> str:
    lines = [f"  {name:<8} {about}" for name, (_, _, about) in COMMANDS.items()]
    return "\n".join(
        ["usage: redraft COMMAND ...", "", *lines, "", "redraft COMMAND --help says more."]
    )


def complain(message: str) -> int:
    print(f"redraft: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
