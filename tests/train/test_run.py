"""Recipes run: what is done stays done, nothing but the recipe decides; the smoke recipe from
nothing to a served model."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from redraft.train import run as runs
from redraft.train.recipe import RECIPES
from redraft.train.workbench.tasks import sample
from tests.support.killed import run_killed
from tests.support.program import running

pytestmark = pytest.mark.timeout(3600)  # the recipe takes two minutes on a quiet machine
ROOT = Path(__file__).resolve().parents[2]
REDRAFT = Path(sys.executable).parent / "redraft"

RECIPE = """
name: test
output: OUT
steps:
  draw:
    stage: tasks
    output: ${output}/tasks.jsonl
    count: 20
    seed: 7
  again:
    stage: tasks
    output: ${output}/again.jsonl
    count: 5
"""


def recipe(folder: Path, text: str = RECIPE) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text.replace("OUT", str(folder / "out")))
    return str(path)


def ran(folder: Path, *arguments: str, **variables: str) -> str:
    """What the command prints, run in a folder as a user runs it."""
    done = subprocess.run(
        [str(REDRAFT), "train", "run", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def instructions(file: Path) -> list[str]:
    return [json.loads(line)["instruction"] for line in file.read_text().splitlines()]


def write_modules(folder: Path) -> None:
    """A user's own programs, of the names of our packages and of a library we use."""
    for name in ("redraft", "server", "train", "yaml"):
        (folder / f"{name}.py").write_text(f"print('this is the user's {name}.py')\n")


def test_the_users_own_modules_are_not_run_in_place_of_ours(tmp_path: Path) -> None:
    write_modules(tmp_path)
    output = ran(tmp_path, recipe(tmp_path))
    assert "user's" not in output
    assert instructions(tmp_path / "out" / "tasks.jsonl") == [
        task.instruction for task in sample("train", None, 20, 7)
    ]


@pytest.mark.slow  # accelerate and torch take seconds to import
def test_nor_are_they_under_accelerate(tmp_path: Path) -> None:
    write_modules(tmp_path)
    text = RECIPE.replace("count: 5", "count: 5\n    accelerate: one_gpu")
    output = ran(tmp_path, recipe(tmp_path, text), "--only", "again")
    assert "user's" not in output
    assert len(instructions(tmp_path / "out" / "again.jsonl")) == 5


def test_what_accelerate_adds_to_the_path_is_taken_back(tmp_path: Path) -> None:
    write_modules(tmp_path)
    code = "import redraft; print(redraft.__file__)"
    launched = runs._launched([sys.executable, "-P", "-c", code], tmp_path / "config.yaml")
    process = launched[launched.index("--no_python") + 1 :]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    printed = subprocess.run(
        process,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == f"{ROOT / 'redraft' / '__init__.py'}\n"


def test_the_environment_decides_what_the_recipe_does_not(tmp_path: Path) -> None:
    name = recipe(tmp_path)
    ran(tmp_path, name)
    output = ran(tmp_path, name, REDRAFT_TASKS_SEED="9")
    assert "draw: done before" in output
    assert "tasks: 5 in" in output
    drawn = instructions(tmp_path / "out" / "again.jsonl")
    assert drawn == [task.instruction for task in sample("train", None, 5, 9)]
    ran(tmp_path, name, "--set", "steps.draw.count=3", REDRAFT_TASKS_SEED="9")
    drawn = instructions(tmp_path / "out" / "tasks.jsonl")
    assert drawn == [task.instruction for task in sample("train", None, 3, 7)]


def test_only_the_named_steps_run(tmp_path: Path) -> None:
    assert runs.main([recipe(tmp_path), "--only", "again"]) == 0
    assert [path.name for path in (tmp_path / "out").glob("*.jsonl")] == ["again.jsonl"]


def test_what_is_done_is_not_done_again_unless_it_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = recipe(tmp_path)
    assert runs.main([name]) == 0
    first = capfd.readouterr().out
    assert "tasks: 20 in" in first
    assert runs.main([name]) == 0
    assert capfd.readouterr().out.count("done before") == 2
    assert runs.main([name, "--set", "steps.again.count=6"]) == 0
    third = capfd.readouterr().out
    assert third.count("done before") == 1
    assert "tasks: 6 in" in third


def test_a_step_that_fails_stops_the_recipe_and_is_tried_again(tmp_path: Path) -> None:
    name = recipe(tmp_path, RECIPE.replace("count: 5", "count: 5\n    split: dev"))
    (tmp_path / "out" / "again.jsonl").mkdir(parents=True)  # nothing can be written there
    assert runs.main([name]) != 0
    (tmp_path / "out" / "again.jsonl").rmdir()
    assert runs.main([name]) == 0


@pytest.mark.train
@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_has_a_plan(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main([name, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "DOES NOT FIT" not in plan
    assert "SFTConfig takes every argument" in plan
    if name.startswith("tulu2"):
        assert "GiB a GPU" in plan
        assert "cost" in plan


@pytest.mark.train
def test_the_plan_of_smollm2_is_sized_by_one_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "smollm2"  # by its name alone, the size is known
    said = []
    for scale in (1, 0.1):
        given = [f"base={base}", "--set", f"scale={scale}"]
        only = ["--only", "collect", "stage1"]
        assert runs.main(["smollm2", "--set", *given, *only, "--dry-run"]) == 0
        said.append(capsys.readouterr().out)
    drafts = [int(re.search(r"draft +(\d+) calls", each)[1]) for each in said]  # type: ignore[index]
    steps = [int(re.search(r"(\d+) steps of 32", each)[1]) for each in said]  # type: ignore[index]
    assert drafts == [4000, 400]
    assert steps == [613, 62]
    assert "teach" not in said[0]  # the checks are a program


SMOKE = [sys.executable, "-m", "redraft.train", "run", "smoke", "--output"]


@dataclass(frozen=True)
class Smoke:
    output: Path
    printed: str  # by the run that ended it


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """The smoke recipe, killed in the middle of stage one and run again."""
    output = tmp_path_factory.mktemp("smoke") / "run"
    place = "mkdir .*/stage1/checkpoint-40$"  # checkpoint-20 is whole
    run_killed([*SMOKE, str(output)], place, output.parent, cwd=ROOT)
    assert not (output / ".steps" / "stage1.json").exists()
    done = subprocess.run(
        [*SMOKE, str(output)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return Smoke(output, done.stdout)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.train
@pytest.mark.slow
def test_the_smoke_recipe_moves_every_weight_in_every_stage(smoke: Smoke) -> None:
    stages = [weights(smoke.output / name) for name in ("initial", "base", "stage1", "stage2")]
    for before, after in itertools.pairwise(stages):
        for name, value in before.items():
            assert not value.equal(after[name]), f"{name} has not changed"


@pytest.mark.train
@pytest.mark.slow
def test_a_killed_recipe_goes_on_in_the_step_it_was_killed_in(smoke: Smoke) -> None:
    for step in ("initial", "base_tasks", "base", "collect", "filter"):
        assert f"] {step}: done before" in smoke.printed
    for step in ("stage1: sft", "stage2: dpo", "merge: merge"):
        assert f"] {step}" in smoke.printed
    assert f"going on from {smoke.output / 'stage1' / 'checkpoint-20'}" in smoke.printed


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.vllm
def test_the_smoke_recipes_model_is_served_and_answers_through_the_openai_sdk(
    smoke: Smoke,
) -> None:
    import openai

    with running(str(smoke.output / "model"), "--max-iterations", "1") as program:
        client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none", max_retries=0)
        (model, *_) = client.models.list()
        answer = client.chat.completions.create(
            model=model.id,
            messages=[{"role": "user", "content": "Find the sum of these numbers: 6, 39, 23."}],
            max_tokens=64,
        )
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        extra = answer.model_extra
        assert extra is not None
        assert extra["refine"]["stop_reason"]
