"""Runs a program that is killed at a named place, not at some moment: the same one on any machine.

    run_killed([sys.executable, "-m", "redraft.train", "sft"], r"mkdir .*checkpoint-3", tmp_path)

A place is a regular expression for what the program is about to do with a file: ``mkdir PATH`` or
``write PATH``. There it dies with all its process group, as with kill -9: nothing is flushed, no
handler runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 1500  # far more than a program takes to come to its place
_PLACE = "KILLED_AT"
# Python runs it at its start, in the program and in every Python the program starts.
_HOOK = f"""
import os, re, signal, sys

place = re.compile(os.environ[{_PLACE!r}])

def die_there(event, arguments):
    if event == "os.mkdir":
        doing = f"mkdir {{arguments[0]}}"
    elif event == "open" and "w" in str(arguments[1]):
        doing = f"write {{arguments[0]}}"
    else:
        return
    if place.search(doing):
        os.killpg(0, signal.SIGKILL)

sys.addaudithook(die_there)
"""


def run_killed(command: Sequence[str], place: str, folder: Path, **options: Any) -> None:
    """``folder`` is one of the test's own; ``options`` go to subprocess.Popen."""
    hooked = folder / "killed"
    hooked.mkdir(exist_ok=True)
    (hooked / "sitecustomize.py").write_text(_HOOK)
    environ = dict(options.pop("env", os.environ))
    paths = (str(hooked), environ.get("PYTHONPATH"))
    environ |= {_PLACE: place, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with subprocess.Popen(command, env=environ, start_new_session=True, **options) as process:
        try:
            code = process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert code == -signal.SIGKILL, f"it ended with {code} and never came to {place!r}"
