"""What is built to be installed has every file the programs read, and works from any folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the dev extra is not installed")

PACKAGES = ("server", "train", "clients", "benchmarks")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder)], cwd=root, check=True, capture_output=True, timeout=300)
    (built,) = folder.glob("*.whl")
    return built


def test_every_file_of_the_packages_is_in_it(wheel: Path, root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    files = {name for name in listed.stdout.splitlines() if (root / name).is_file()}
    wanted = {f"redraft/{name}" for name in files if not name.startswith("clients/node/")}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    own = {f"redraft/{name}" for name in ("__init__.py", "child_process.py", "py.typed")}
    assert packed == wanted | own


READS_ITS_FILES = """
import sys
from pathlib import Path
import redraft.benchmarks.__main__, redraft.server.api.pages, redraft.train.recipe
from redraft.benchmarks.workbench import card_tables
programs = (redraft.benchmarks.__main__, redraft.server.api.pages, redraft.train.recipe)
for module in (*programs, card_tables):
    assert Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__
assert {"latency", "winrate"} <= redraft.benchmarks.__main__.COMMANDS.commands.keys()
assert redraft.train.recipe.load("smoke").steps
assert card_tables._ABOUT.is_file() and any(redraft.train.recipe.ACCELERATE.glob("*.yaml"))
"""


@pytest.mark.slow
def test_the_programs_find_their_files_where_they_are_installed(
    wheel: Path, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    ran = subprocess.run(
        [sys.executable, "-c", READS_ITS_FILES, str(installed)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
