"""Programs by name: the modules of a package that have ``main(arguments) -> exit code``.

The first line of a module's docstring is what the list says about it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from redraft.server.jsonl import LineError


def run(package: str, folder: Path, program: str, given: Sequence[str]) -> int:
    """Run the program that is named first; the rest are its arguments."""
    name, *rest = given or ["--help"]
    known = programs(folder)
    if name in ("-h", "--help"):
        print(f"usage: {program} NAME [options]; each has --help\n")
        print("\n".join(f"  {known_name:14} {what}" for known_name, what in known.items()))
        return 0
    if name not in known:
        print(f"{program}: unknown {name!r}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        code: int = load(package, name).main(rest)
    except FileNotFoundError as error:
        print(f"{program} {name}: there is no {error.filename}", file=sys.stderr)
        return 2
    except LineError as error:
        print(f"{program} {name}: {error}", file=sys.stderr)
        return 2
    return code


def programs(folder: Path) -> dict[str, str]:
    """Read, not imported: a list must not load plotting libraries."""
    found = {}
    for path in sorted([*folder.glob("[a-z]*.py"), *folder.glob("[a-z]*/__init__.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            name = path.parent.name if path.stem == "__init__" else path.stem
            lines = (ast.get_docstring(tree) or "").splitlines()
            found[name.replace("_", "-")] = lines[0] if lines else ""
    return dict(sorted(found.items()))


def load(package: str, name: str) -> ModuleType | Any:
    return import_module(f"{package}.{name.replace('-', '_')}")
