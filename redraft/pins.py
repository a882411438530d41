"""The hashes of the packages that constraints/ pins: constraints/cpu-hashes.txt, cuda-hashes.txt.

    python -m redraft.pins             every pin has its hashes, and no other has any
    python -m redraft.pins --update    ask the package index for them, after a pin has changed

``redraft install`` has uv refuse a package whose hash is not among them. A pin with a local
version, such as torch's +cpu, has none: every index builds its own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent / "constraints"
PLATFORMS = ("cpu", "cuda")
OLDEST_PYTHON = "3.11"
_PYTHONS = ("py3", "py2.py3", "cp311", "cp312", "cp313")

Hashes = Mapping[str, Iterable[str]]  # of the files of a pin, by "name==version"


def pins_of(platform: str) -> set[str]:
    """The pins that every index has alike."""
    lines = (CONSTRAINTS / f"{platform}.txt").read_text("utf-8").split()
    return {pin for pin in lines if "+" not in pin}


def hashes_file(platform: str) -> Path:
    return CONSTRAINTS / f"{platform}-hashes.txt"


def problems(platform: str) -> list[str]:
    lines = hashes_file(platform).read_text("utf-8").splitlines()
    wanted, found = pins_of(platform), {pin for pin, *hashes in map(str.split, lines) if hashes}
    missing = [f"{pin} has no hash" for pin in sorted(wanted - found)]
    return missing + [f"{pin} has hashes and is no pin" for pin in sorted(found - wanted)]


def is_used(file: str) -> bool:
    """Whether a wheel can be installed where Redraft can: by its tags."""
    python, abi, machine = file.removesuffix(".whl").rsplit("-", 3)[1:]
    if machine != "any" and not re.search(r"(?<!musl)linux.*_(x86_64|aarch64)$", machine):
        return False
    return abi == "abi3" or (python in _PYTHONS and not abi.endswith("t"))


def hashes_in(lock: Mapping[str, Any]) -> dict[str, set[str]]:
    """The hashes of the files in a pylock.toml."""
    found: dict[str, set[str]] = {}
    for package in lock["packages"]:
        files = [f for f in package.get("wheels", ()) if is_used(_name_of(f))]
        files += [package["sdist"]] if "sdist" in package else []
        pin = f"{package['name']}=={package['version']}"
        if "+" not in pin:
            found[pin] = {file["hashes"]["sha256"] for file in files}
    return found


def written(hashes: Hashes) -> str:
    lines = [
        " ".join([pin, *(f"--hash=sha256:{digest}" for digest in sorted(hashes[pin]))])
        for pin in sorted(hashes)
    ]
    return "".join(f"{line}\n" for line in lines)


def update() -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise SystemExit("redraft.pins: there is no uv; run make test once, which brings it")
    with tempfile.TemporaryDirectory() as folder:
        for platform in PLATFORMS:
            lock = Path(folder) / f"pylock.{platform}.toml"
            pins = Path(folder) / f"{platform}.txt"
            pins.write_text("\n".join(sorted(pins_of(platform))), "utf-8")
            command = [uv, "pip", "compile", "--quiet", "--no-deps", "--universal"]
            command += ["--python-version", OLDEST_PYTHON, "--format", "pylock.toml"]
            subprocess.run([*command, "--output-file", str(lock), str(pins)], check=True)
            hashes = hashes_in(tomllib.loads(lock.read_text("utf-8")))
            hashes_file(platform).write_text(written(hashes), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m redraft.pins", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the file anew")
    if parser.parse_args(arguments).update:
        update()
    found = [f"{platform}: {each}" for platform in PLATFORMS for each in problems(platform)]
    for problem in found:
        print(f"redraft.pins: {problem}; run python -m redraft.pins --update", file=sys.stderr)
    return int(bool(found))


def _name_of(wheel: Mapping[str, Any]) -> str:
    name: str = wheel.get("name") or wheel["url"].rsplit("/", 1)[1]
    return name


if __name__ == "__main__":
    sys.exit(main())
