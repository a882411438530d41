"""optillm's environment: made once, or one line that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.benchmarks.load import optillm_environment
from redraft.benchmarks.load.optillm_environment import AUTO, REQUIREMENT
from redraft.benchmarks.load.programs import ProgramFailed


def test_a_program_that_is_given_is_used_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / "optillm"
    program.touch()
    assert optillm_environment.program(str(program)) == program


def test_a_program_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match=r"no program .*/missing; give its path, or 'auto'"):
        optillm_environment.program(str(tmp_path / "missing"))


def test_what_was_installed_before_is_not_installed_again(tmp_path: Path) -> None:
    folder = tmp_path / REQUIREMENT.replace("==", "-")
    folder.mkdir()
    (folder / "complete").touch()
    assert optillm_environment.program(AUTO, tmp_path) == folder / "bin" / "optillm"
    assert [path.name for path in folder.iterdir()] == ["complete"]


@pytest.mark.slow
def test_without_a_package_index_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "NO_INDEX": "1",
        "FIND_LINKS": str(tmp_path),
        "CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(ProgramFailed, match="could not be installed") as raised:
        optillm_environment.program(AUTO, tmp_path / "cache")
    text = str(raised.value)
    assert "ERROR: " in text
    assert "leave optillm out of --systems" in text
    assert "\n" not in text
    folder = tmp_path / "cache" / REQUIREMENT.replace("==", "-")
    assert not (folder / "complete").exists()  # the next run tries again
