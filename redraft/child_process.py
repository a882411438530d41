"""How our programs start one another: never from what lies in the current folder.

``python -m`` looks there first, so a user's own ``redraft.py`` or ``yaml.py`` would be run in place
of the module that is meant.

    subprocess.run(python_module("redraft.train", "tasks"), env=environment())
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

_PACKAGE_FOLDER = str(Path(__file__).resolve().parents[1])


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-P", *arguments]


def python_module(name: str, *arguments: str) -> list[str]:
    return python("-m", name, *arguments)


def environment() -> dict[str, str]:
    """This process's, with the package on PYTHONPATH if it was found ahead of the standard
    library: in a checkout that is not installed nothing else would lead a child to it."""
    variables = dict(os.environ)
    stdlib = os.path.realpath(sysconfig.get_path("stdlib"))
    path = [os.path.realpath(entry or os.curdir) for entry in sys.path]
    first = path[: path.index(stdlib)] if stdlib in path else path
    if _PACKAGE_FOLDER in first:
        known = variables.get("PYTHONPATH")
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [_PACKAGE_FOLDER, known]))
    return variables
