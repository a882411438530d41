"""Children find our package, and nothing of the user's in its place.
Spans: redraft/child_process"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHOW = "import redraft; print(redraft.__file__)"
START = f"""
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from redraft.child_process import environment, python
subprocess.run(python("-c", {SHOW!r}), env=environment(), check=True)
"""


def found_by_a_child(folder: Path) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    started = subprocess.run(
        [sys.executable, "-c", START, str(ROOT)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return started.stdout.strip()


def test_a_child_runs_the_package_its_parent_runs(tmp_path: Path) -> None:
    assert found_by_a_child(tmp_path) == str(ROOT / "redraft" / "__init__.py")


def test_a_module_in_the_current_folder_is_not_run_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "redraft.py").write_text("print('the user has one, too')\n")
    assert found_by_a_child(tmp_path) == str(ROOT / "redraft" / "__init__.py")
