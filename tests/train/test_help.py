"""The help of every stage, and the workbench, need the bare install only.
Spans: train"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from redraft.train.__main__ import main
from redraft.train.stages import STAGES, options_of

# What the extras bring: importing any of it fails, as where it is not installed.
EXTRAS = (  # noqa: SIM905
    "accelerate aiohttp bitsandbytes datasets jinja2 lm_eval locust matplotlib numpy peft psutil "
    "pyarrow safetensors sklearn tensorboard tokenizers torch tqdm transformers trl vllm yaml"
).split()
NO_EXTRAS = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
MAIN = "from redraft.train.__main__ import main; sys.exit(main(sys.argv[1:]))"


def without_extras(
    root: Path, *arguments: str, program: str = MAIN
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", NO_EXTRAS + program, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stage", [*STAGES, "run", "exact"])
def test_the_help_of_a_stage_needs_no_extra(stage: str, root: Path) -> None:
    ended = without_extras(root, stage, "--help")
    assert ended.returncode == 0, ended.stderr
    assert f"redraft train {stage}" in ended.stdout


def test_the_menu_needs_no_extra_and_names_every_stage(root: Path) -> None:
    ended = without_extras(root, "--help")
    assert ended.returncode == 0, ended.stderr
    for name, stage in STAGES.items():
        assert f"  {name:12} {stage.description}" in ended.stdout


def test_an_unknown_stage_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collectt"]) == 2
    assert (
        "unknown stage 'collectt'; stages: base_model, tasks, constraints, collect"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_the_table_has_options(stage: str) -> None:
    assert options_of(stage).__name__ == STAGES[stage].options


def test_the_workbench_is_imported_without_extras(root: Path) -> None:
    modules = (p.relative_to(root) for p in (root / "train" / "workbench").rglob("*.py"))
    names = sorted("redraft." + ".".join(m.with_suffix("").parts) for m in modules)
    ended = without_extras(root, program="\n".join(f"import {name}" for name in names))
    assert ended.returncode == 0, ended.stderr
