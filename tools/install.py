"""Makes .venv and installs Redraft into it. Run: python3 tools/install.py cpu dev

Standard library only, for Python 3.11 to 3.13 as it comes; `make` runs it behind stamp files,
so a second `make` installs nothing. What cannot work ends with one line that says what to do.

PIP_FIND_LINKS   folders of wheels to look in first (uv does not read pip's variables)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints"
UV = "uv==0.13.8"
# CPU builds of torch carry a local version (+cpu) and are not in the ordinary index.
TORCH_CPU = "https://download.pytorch.org/whl/cpu/torch/"
FREE_GB = {"cpu": 6, "cuda": 20}  # environment plus download cache, rounded up
LIGHT_GB = 1


class CannotInstall(Exception):
    """The message is the one line the user sees."""


def check_python() -> None:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise CannotInstall(
            f"Redraft needs Python 3.11, 3.12 or 3.13 and {sys.executable} is "
            f"{sys.version_info[0]}.{sys.version_info[1]}; install one of them and run "
            f"'make PYTHON=python3.12 ...'"
        )


def check_disk(extras: list[str]) -> None:
    needed = max((FREE_GB.get(extra, LIGHT_GB) for extra in extras), default=LIGHT_GB)
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < needed and not (VENV / "bin" / "redraft").exists():
        raise CannotInstall(
            f"installing [{','.join(extras)}] needs about {needed} GB and {ROOT} has "
            f"{free:.1f} GB free; free some space, or clone to a larger disk"
        )


def make_venv() -> None:
    if VENV.exists():
        probe = [str(VENV_PYTHON), "-c", "import sys; print(*sys.version_info[:2])"]
        try:
            found = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            raise CannotInstall(f"{VENV} has no working Python; remove it and run again") from None
        if not (3, 11) <= tuple(map(int, found.split())) <= (3, 13):
            raise CannotInstall(
                f"{VENV} is of Python {found.strip().replace(' ', '.')}; remove it and run again "
                f"with 3.11 to 3.13"
            )
        return
    print(f"making {VENV.name} with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        if "ensurepip" in made.stdout + made.stderr or "No module named" in made.stderr:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise CannotInstall(
                f"this Python cannot make virtual environments; install its venv module "
                f"(Debian, Ubuntu: apt-get install python{version}-venv) and run again"
            )
        raise CannotInstall(f"python -m venv failed: {last_line(made.stdout + made.stderr)}")


def find_uv() -> str:
    """The machine's uv when it knows --excludes, else one of our own inside the venv."""
    for candidate in (shutil.which("uv"), str(VENV / "bin" / "uv")):
        if candidate and os.access(candidate, os.X_OK):
            known = subprocess.run(
                [candidate, "pip", "install", "--help"], capture_output=True, text=True, check=False
            )
            if "--excludes" in known.stdout:
                return candidate
    run([str(VENV_PYTHON), "-m", "pip", "install", "--quiet", UV])
    return str(VENV / "bin" / "uv")


def find_links(platform: str) -> list[str]:
    """Where wheels lie besides the index; for CPU one of these must hold torch."""
    places = os.environ.get("PIP_FIND_LINKS", "").split()
    if platform != "cpu" or next(VENV.glob("lib/python*/site-packages/torch-*"), None):
        return places
    version = torch_version()
    tag = subprocess.run(
        [str(VENV_PYTHON), "-c", "import sys; print('cp%d%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    wheel = f"torch-{version}-{tag}-*.whl"
    if any(next(Path(place).glob(wheel), None) for place in places):
        return places
    try:
        with urllib.request.urlopen(TORCH_CPU, timeout=20):
            return [*places, TORCH_CPU]
    except (urllib.error.URLError, TimeoutError) as error:
        raise CannotInstall(
            f"no CPU build of torch: {TORCH_CPU} cannot be reached "
            f"({getattr(error, 'reason', error)}) and PIP_FIND_LINKS names no folder with "
            f"{wheel}; connect, or put that wheel in a folder and set PIP_FIND_LINKS to it"
        ) from error


def torch_version() -> str:
    pinned = re.search(r"^torch==(.+)$", (CONSTRAINTS / "cpu.txt").read_text(), re.MULTILINE)
    assert pinned, "constraints/cpu.txt pins torch"
    return pinned[1]


def install(extras: list[str]) -> None:
    platform = "cuda" if "cuda" in extras else "cpu"
    command = [find_uv(), "pip", "install", "--compile-bytecode"]
    command += ["--constraints", str(CONSTRAINTS / f"{platform}.txt")]
    excludes = CONSTRAINTS / f"{platform}-excludes.txt"
    if excludes.exists():
        command += ["--excludes", str(excludes)]
    for place in find_links(platform if platform in extras else ""):
        command += ["--find-links", place]
    project = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    run([*command, "--editable", project])


def run(command: list[str]) -> None:
    """Run an installer, showing what it says; turn its failure into one line."""
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    # Without compiled files every start of the server would pay 10 s more for its imports.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    said = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if not line.startswith(" + "):
                print(line, end="", flush=True)
    if process.returncode:
        raise CannotInstall(diagnose("".join(said)))


def diagnose(said: str) -> str:
    if re.search(r"no space left|disk quota", said, re.IGNORECASE):
        return f"the disk under {ROOT} is full; free some space and run again"
    if re.search(
        r"failed to fetch|error sending request|dns error|connection (refused|reset|error)"
        r"|name resolution|NewConnectionError|ProxyError|could not connect|timed out"
        r"|from versions: none",  # pip with an index it cannot reach
        said,
        re.IGNORECASE,
    ):
        return "the package index cannot be reached; check the network or proxy and run again"
    if re.search(r"no solution found", said, re.IGNORECASE) and "torch" in said:
        return (
            "no torch fits this Python and platform; use Python 3.11 to 3.13 on Linux x86-64 or "
            "arm64, or set PIP_FIND_LINKS to a folder with the wheel"
        )
    return f"the installer failed: {last_line(said)}"


def last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it said nothing"])[-1].strip()


def main() -> int:
    extras = sys.argv[1:]
    try:
        check_python()
        check_disk(extras)
        make_venv()
        install(extras)
    except CannotInstall as error:
        print(f"install: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
