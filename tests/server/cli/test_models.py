"""`redraft models`: what is listed, and that each name is one `redraft serve` takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from redraft.server.build import names
from redraft.server.build.aliases import ALIASES
from redraft.server.build.fetching import Fetching
from redraft.server.cli import main
from tests.support.bare import without_extras
from tests.support.fake_hub import COMMIT, Repository, fake_hub, model_folder

FETCH = """
import sys
from redraft.server.build import names
from redraft.server.build.fetching import Fetching
for name in sys.argv[1:]:
    names.find(name, "", Fetching(print))
"""


def listed(root: Path, *arguments: str, **environ: str) -> str:
    shown = subprocess.run(
        [sys.executable, "-m", "redraft.server.cli", "models", *arguments],
        cwd=root,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return shown.stdout


def test_what_is_shipped_and_what_can_be_made_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json", "--cache-dir", str(tmp_path)]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    by_name = {row["name"]: row for row in rows}
    for name in names.shipped():
        found = names.find(name, "", Fetching(print))
        assert by_name[name]["directory"] == str(found.directory)
        assert by_name[name]["num_bytes"] > 1_000_000
    assert by_name["smollm2"]["directory"] is None
    made = ALIASES["smollm2"].directory(tmp_path)
    made.mkdir(parents=True)
    assert main(["models", "--cache-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "273 MB  alias" in shown
    assert str(made) in shown


def test_models_in_the_cache_of_the_hub_are_listed(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    repository = Repository(model_folder(tmp_path / "model"))
    environ = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    with fake_hub({"acme/plain": repository}) as hub:
        subprocess.run(
            [sys.executable, "-c", FETCH, "acme/plain", "acme/plain@v1"],
            cwd=root,
            env={**os.environ, **environ, "HF_ENDPOINT": hub.url},
            check=True,
            timeout=120,
        )
    rows = json.loads(listed(root, "--json", **environ))
    (row,) = [row for row in rows if row["kind"] == "hub"]
    assert row["name"] == "acme/plain"
    assert row["directory"].endswith(COMMIT)
    assert row["num_bytes"] > 1_000_000
    assert "1 MB" in listed(root, **environ)


def test_without_the_libraries_of_an_engine_it_lists_the_rest(root: Path, tmp_path: Path) -> None:
    assert "smollm2" in listed(root, **without_extras(tmp_path, root))


def test_an_option_that_does_not_exist_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--jsno"]) == 2
    assert capsys.readouterr().err.startswith("redraft models: unknown option --jsno; did you mean")
