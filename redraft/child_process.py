"""Starts our programs in child processes, without the current folder on their import path.

``python -m`` puts it first, so a user's own ``redraft.py`` or ``yaml.py`` would be imported in
place of ours.

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
    """This process's environment, with the package's folder on PYTHONPATH if the package comes
    before the standard library: a child could not import it from a checkout otherwise."""
    variables = dict(os.environ)
    stdlib = os.path.realpath(sysconfig.get_path("stdlib"))
    path = [os.path.realpath(entry or os.curdir) for entry in sys.path]
    first = path[: path.index(stdlib)] if stdlib in path else path
    if _PACKAGE_FOLDER in first:
        paths = filter(None, [_PACKAGE_FOLDER, variables.get("PYTHONPATH")])
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables
