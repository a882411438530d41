"""The measurements by name: ``redraft bench NAME ...`` and ``python -m benchmarks NAME ...``.

A measurement is a module of this package with ``main(arguments) -> exit code``; the first line of
its docstring is what the list below says about it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    name, *rest = given or ["--help"]
    known = measurements()
    if name in ("-h", "--help"):
        print("usage: redraft bench NAME [options]; each has --help\n")
        print("\n".join(f"  {known_name:12} {what}" for known_name, what in known.items()))
        return 0
    if name not in known:
        print(f"redraft bench: unknown {name!r}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    module = import_module(f"benchmarks.{name.replace('-', '_')}")
    try:
        code: int = module.main(rest)
    except FileNotFoundError as error:
        print(f"redraft bench {name}: there is no {error.filename}", file=sys.stderr)
        return 2
    return code


def measurements() -> dict[str, str]:
    """Read, not imported: a list must not load plotting libraries."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            lines = (ast.get_docstring(tree) or "").splitlines()
            found[path.stem.replace("_", "-")] = lines[0] if lines else ""
    return found


if __name__ == "__main__":
    sys.exit(main())
