"""An environment for each client, made once for each version and kept in ``.clients/``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.matrix.clients import PROGRAMS, Client

ENVIRONMENTS = Path(__file__).parents[3] / ".clients"
INSTALL_S, RUN_S = 600, 600


class Unavailable(Exception):
    """The client cannot be had here; the message says why."""


def command_of(client: Client, program: str) -> list[str]:
    """The command that runs a program of the client's, installed first if need be."""
    folder = ENVIRONMENTS / client.folder
    record = folder / "installed.txt"
    wanted = "\n".join(client.requirements)
    if not (record.is_file() and record.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (_install_node if client.needs_node else _install_python)(client, folder)
        record.write_text(wanted)
    if client.needs_node:
        # Node looks for packages beside the program.
        shutil.copy(PROGRAMS / program, folder)
        return ["node", str(folder / program)]
    return [str(folder / "bin" / "python"), str(PROGRAMS / program)]


def _install_python(client: Client, folder: Path) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    python = folder / "bin" / "python"
    if uv:
        _run([uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "-q", "--python", str(python), *client.requirements])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "-q", *client.requirements])


def _install_node(client: Client, folder: Path) -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        raise Unavailable("no node and npm on PATH")
    versions = dict(requirement.rsplit("==", 1) for requirement in client.requirements)
    package = {"private": True, "type": "module", "dependencies": versions}
    (folder / "package.json").write_text(json.dumps(package))
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)])


def _run(command: list[str]) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} did not end within {INSTALL_S} s") from error
    if ran.returncode:
        said = " ".join((ran.stderr or ran.stdout).split())
        raise Unavailable(f"it cannot be installed: {said[-300:]}")


def run(client: Client, program: str, environment: dict[str, str]) -> str:
    """What a program of the client's prints."""
    command = command_of(client, program)
    inherited = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ
    }
    offline = {"HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "unused", "DO_NOT_TRACK": "1"}
    ran = subprocess.run(
        command,
        env={**inherited, **offline, **environment},
        cwd=ENVIRONMENTS / client.folder,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    if ran.returncode:
        raise RuntimeError(f"{program} failed:\n{ran.stderr[-2000:]}")
    return ran.stdout
