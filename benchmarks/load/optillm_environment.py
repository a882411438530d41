"""optillm in an environment of its own, because its requirements conflict with ours.

Installed at first use into the user's cache folder ($XDG_CACHE_HOME/redraft).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from redraft.benchmarks.load.programs import ProgramFailed
from redraft.benchmarks.load.servers import version

REQUIREMENT = "optillm==0.4.0"
AUTO = "auto"
TORCH_CPU = "https://download.pytorch.org/whl/cpu/torch/"  # the index has only those for GPUs
INSTALL_S = 1800.0  # it brings torch and a hundred packages


def program(choice: str, cache: Path | None = None) -> Path:
    """The program at the path ``choice``; "auto": the one in the cache, installed if missing."""
    if choice != AUTO:
        if not Path(choice).is_file():
            raise ProgramFailed(
                f"--optillm: there is no program {choice}; give its path, or {AUTO!r}"
            )
        return Path(choice)
    folder = (cache or cache_folder()) / REQUIREMENT.replace("==", "-")
    optillm = folder / "bin" / "optillm"
    if not (folder / "complete").exists():
        print(f"installing {REQUIREMENT} into {folder}; this takes minutes", file=sys.stderr)
        _make(folder)
    return optillm


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "redraft"


def installed_version(program: Path) -> str:
    """The version of optillm in the environment of ``program``."""
    code = "import importlib.metadata; print(importlib.metadata.version('optillm'))"
    python = program.parent / "python"
    reply = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return reply.stdout.strip() or "unknown"


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # half of one, from a run that was stopped
    folder.mkdir(parents=True)
    # The build of torch that is here: by itself pip would take one for GPUs, of gigabytes.
    torch = version("torch")
    (folder / "constraints.txt").write_text(f"torch=={torch}\n" if torch else "")
    _run([sys.executable, "-m", "venv", str(folder)], folder)
    python = str(folder / "bin" / "python")
    # uv settles on versions in seconds; pip goes through them for half an hour.
    _run([python, "-m", "pip", "install", "--quiet", "uv"], folder)
    install = [str(folder / "bin" / "uv"), "pip", "install", "--python", python]
    places = os.environ.get("PIP_FIND_LINKS", "").split()  # uv does not read pip's variables
    if torch and torch.endswith("+cpu"):
        places = places or [TORCH_CPU]
    for place in places:
        install += ["--find-links", place]
    _run([*install, "--constraints", str(folder / "constraints.txt"), REQUIREMENT], folder)
    (folder / "complete").touch()


def _run(command: list[str], folder: Path) -> None:
    log = folder / "install.log"
    with log.open("ab") as output:
        try:
            subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=INSTALL_S,
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            lines = log.read_text(errors="replace").strip().splitlines()
            errors = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
            raise ProgramFailed(
                f"optillm could not be installed ({errors[0] if errors else error}); its log is "
                f"{log}. Connect to a package index, give a program with --optillm PATH, or leave "
                f"optillm out of --systems"
            ) from error
