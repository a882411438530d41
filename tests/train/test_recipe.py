"""Recipes: read, changed, planned, run whole; the smoke recipe from nothing to a served model."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from redraft.server.options import ConfigError
from redraft.train import recipe as recipes
from redraft.train.sizing import KNOWN
from tests.support.killed import run_killed
from tests.support.program import running

pytestmark = pytest.mark.timeout(3600)  # the recipe takes two minutes on a quiet machine
ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.stem for path in recipes.RECIPES.glob("*.yaml"))

RECIPE = """
name: test
output: OUT
scale: 2
seed: 1
steps:
  draw:
    stage: tasks
    output: ${output}/tasks.jsonl
    count: 10 * ${scale}
    seed: ${seed}
  again:
    stage: tasks
    output: ${output}/again.jsonl
    count: 5
"""


def recipe(folder: Path, text: str = RECIPE) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text.replace("OUT", str(folder / "out")))
    return str(path)


def test_values_of_the_recipe_are_filled_in_and_scaled(tmp_path: Path) -> None:
    found = recipes.load(recipe(tmp_path), ["scale=3"])
    assert found.steps[0].options == {
        "output": f"{tmp_path}/out/tasks.jsonl",
        "count": 30,
        "seed": 1,
    }


def test_any_value_can_be_set_from_the_command_line(tmp_path: Path) -> None:
    found = recipes.load(recipe(tmp_path), ["steps.draw.count=7", f"output={tmp_path}/other"])
    assert found.steps[0].options["count"] == 7
    assert found.output == tmp_path / "other"


@pytest.mark.parametrize(
    ("only", "until", "expected"),
    [
        ([], None, ("draw", "again")),
        ([], "draw", ("draw",)),
        (["again"], None, ("again",)),
        (["again", "draw"], "again", ("draw", "again")),
    ],
)
def test_steps_to_run_can_be_named(
    tmp_path: Path, only: list[str], until: str | None, expected: tuple[str, ...]
) -> None:
    assert recipes.selected(recipes.load(recipe(tmp_path)), only, until) == expected


def test_only_the_named_steps_run(tmp_path: Path) -> None:
    assert recipes.main([recipe(tmp_path), "--only", "again"]) == 0
    assert [path.name for path in (tmp_path / "out").glob("*.jsonl")] == ["again.jsonl"]


def test_a_step_that_is_not_in_the_recipe_cannot_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recipe test has no step 'drew': draw, again"):
        recipes.selected(recipes.load(recipe(tmp_path)), ["drew"], None)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("count: 5", "counts: 5", "unknown tasks option counts; did you mean count?"),
        ("stage: tasks", "stage: task", "unknown stage 'task'; stages: base_model, tasks"),
        ("${seed}", "${sed}", "${sed} is not a value of the recipe"),
        ("name: test", "nome: test", "has no 'name'"),
        ("count: 5", "accelerate: two", "no accelerate config 'two'; known: fsdp2, one_gpu"),
    ],
)
def test_a_mistake_is_found_before_the_first_step_runs(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        recipes.load(recipe(tmp_path, RECIPE.replace(old, new)))
    assert told in str(caught.value)


def test_an_unknown_recipe_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no recipe 'smok'; recipes: smoke"):
        recipes.load("smok")


def test_what_is_done_is_not_done_again_unless_it_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = recipe(tmp_path)
    assert recipes.main([name]) == 0
    first = capfd.readouterr().out
    assert "tasks: 20 in" in first
    assert recipes.main([name]) == 0
    assert capfd.readouterr().out.count("done before") == 2
    assert recipes.main([name, "--set", "steps.again.count=6"]) == 0
    third = capfd.readouterr().out
    assert third.count("done before") == 1
    assert "tasks: 6 in" in third


def test_a_step_that_fails_stops_the_recipe_and_is_tried_again(tmp_path: Path) -> None:
    name = recipe(tmp_path, RECIPE.replace("count: 5", "count: 5\n    split: dev"))
    (tmp_path / "out" / "again.jsonl").mkdir(parents=True)  # nothing can be written there
    assert recipes.main([name]) != 0
    (tmp_path / "out" / "again.jsonl").rmdir()
    assert recipes.main([name]) == 0


@pytest.mark.train
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_plan(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert recipes.main([name, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "DOES NOT FIT" not in told
    assert "SFTConfig takes every argument" in told
    if name.startswith("tulu2"):
        assert "GiB a GPU" in told
        assert "cost" in told


@pytest.mark.train
@pytest.mark.parametrize(
    ("name", "steps"), [("tulu2-13b", (3440, 1969)), ("tulu2-70b", (3440, 1969))]
)
def test_the_papers_recipes_have_its_batch_and_steps(name: str, steps: tuple[int, int]) -> None:
    from redraft.train.plan import show

    found = recipes.load(name)
    plans = [
        show(step.stage, step.options, found.plan, found.base, None)
        for step in found.steps
        if step.stage in ("sft", "dpo")
    ]
    for plan, count in zip(plans, steps, strict=True):
        assert f"{count} steps of 32," in plan  # 22,000 x 5 epochs; 63,000 x 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("tulu-2-7b", 6_738e6), ("tulu-2-13b", 13_016e6), ("tulu-2-70b", 68_977e6)],
)
def test_the_sizes_of_known_models_are_theirs(name: str, parameters: float) -> None:
    assert KNOWN[name].parameters == pytest.approx(parameters, rel=1e-3)


def test_an_adapter_has_as_many_parameters_as_peft_gives_it() -> None:
    # r * (in + out) of q, k, v, o and of gate, up, down, in each of 32 layers
    assert KNOWN["tulu-2-7b"].adapter_parameters(16) == 39_976_960


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_released_recipe_says_where_it_comes_from(name: str) -> None:
    """A line of a training's hyper-parameters has a comment, or the line above it has."""
    lines = (recipes.RECIPES / f"{name}.yaml").read_text().splitlines()
    inside = False
    for before, line in itertools.pairwise(lines):
        depth = len(line) - len(line.lstrip())
        inside = (inside and depth >= 6) or before.strip() == "trainer:"
        if inside and name.startswith("tulu2"):
            paired = "gradient_accumulation_steps" in line or before.strip().startswith("#")
            assert "#" in line or paired, f"{name}: {line}"


SMOKE = [sys.executable, "-m", "redraft.train", "run", "smoke", "--output"]


@dataclass(frozen=True)
class Smoke:
    output: Path
    said: str  # by the run that ended it


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
        assert f"] {step}: done before" in smoke.said
    for step in ("stage1: sft", "stage2: dpo", "merge: merge"):
        assert f"] {step}" in smoke.said
    assert f"going on from {smoke.output / 'stage1' / 'checkpoint-20'}" in smoke.said


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
        told = answer.model_extra
        assert told is not None
        assert told["refine"]["stop_reason"]
