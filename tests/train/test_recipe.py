"""Recipes: their values resolved, changed and checked; those that are released."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.server.options import ConfigError
from redraft.train import recipe as recipes
from redraft.train.sizing import KNOWN
from redraft.train.stages.tasks import TasksOptions
from redraft.train.trl_settings import quantization

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
    loaded = recipes.load(recipe(tmp_path), ["scale=3"])
    assert loaded.steps[0].options == TasksOptions(f"{tmp_path}/out/tasks.jsonl", count=30, seed=1)


def test_a_learning_rate_that_is_set_is_a_number(tmp_path: Path) -> None:
    text = RECIPE + "  train: {stage: sft, model: m, output: o, trainer: {}}\n"
    changes = ["steps.train.trainer.learning_rate=1e-5"]
    loaded = recipes.load(recipe(tmp_path, text), changes)
    assert loaded.steps[-1].options.trainer == {"learning_rate": 1e-5}


def test_the_recipe_wins_over_the_environment_over_the_default(tmp_path: Path) -> None:
    environ = {"REDRAFT_TASKS_COUNT": "3", "REDRAFT_TASKS_SEED": "4", "REDRAFT_SFT_SEED": "5"}
    draw, again = recipes.load(recipe(tmp_path), environ=environ).steps
    assert (draw.options.count, draw.options.seed) == (20, 1)
    assert (again.options.count, again.options.seed, again.options.split) == (5, 4, "train")


def test_a_step_is_known_by_every_value_in_force_and_by_the_steps_before(tmp_path: Path) -> None:
    plain = recipes.load(recipe(tmp_path)).steps[1]
    same = recipes.load(recipe(tmp_path), ["steps.again.seed=0"]).steps[1]
    other = recipes.load(recipe(tmp_path), environ={"REDRAFT_TASKS_SEED": "4"}).steps[1]
    assert plain.identity("before") == same.identity("before")
    assert plain.identity("before") != other.identity("before")
    assert plain.identity("before") != plain.identity("after")


COLLECT = "  collect: {data: d, output: o, model: m, critic: {model: exact}}\n"


def test_the_defaults_of_an_engine_are_values_in_force(tmp_path: Path) -> None:
    plain = recipes.load(recipe(tmp_path, RECIPE + COLLECT)).steps[-1]
    spelled = COLLECT.replace("exact}", "exact, retries: 6}")
    same = recipes.load(recipe(tmp_path, RECIPE + spelled)).steps[-1]
    other = recipes.load(recipe(tmp_path, RECIPE + spelled.replace("6", "5"))).steps[-1]
    assert plain.values()["critic"]["retries"] == 6
    assert plain.identity("") == same.identity("") != other.identity("")


def test_a_mistake_in_an_engine_is_found_before_the_first_step_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown critic option retry; did you mean retries"):
        recipes.load(recipe(tmp_path, RECIPE + COLLECT.replace("exact}", "exact, retry: 6}")))


@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize(("word", "quantized"), [("none", False), ("4bit", True)])
def test_quantize_none_is_unquantised(
    stage: str, word: str, quantized: bool, tmp_path: Path
) -> None:
    paths = "lessons: [l]" if stage == "sft" else "pairs: p"
    text = RECIPE + f"  last: {{stage: {stage}, model: m, output: o, {paths}, quantize: {word}}}\n"
    options = recipes.load(recipe(tmp_path, text)).steps[-1].options
    assert options.quantize == word
    if quantized:
        with pytest.raises(ConfigError, match="4bit needs bitsandbytes"):
            quantization(options.quantize)
    else:
        assert quantization(options.quantize) is None


def test_any_value_can_be_set_from_the_command_line(tmp_path: Path) -> None:
    loaded = recipes.load(recipe(tmp_path), ["steps.draw.count=7"], str(tmp_path / "other"))
    assert loaded.steps[0].options.count == 7
    assert loaded.output == tmp_path / "other"


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


def test_a_step_that_is_not_in_the_recipe_cannot_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recipe test has no step 'drew': draw, again"):
        recipes.selected(recipes.load(recipe(tmp_path)), ["drew"], None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count: 5", "counts: 5", "unknown tasks option counts; did you mean count?"),
        ("stage: tasks", "stage: task", "unknown stage 'task'; stages: base_model, tasks"),
        ("${seed}", "${sed}", "${sed} is not a value of the recipe"),
        ("name: test", "nome: test", "has no 'name'"),
        ("count: 5", "accelerate: two", "no accelerate config 'two'; known: fsdp2, one_gpu"),
    ],
)
def test_a_mistake_is_found_before_the_first_step_runs(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        recipes.load(recipe(tmp_path, RECIPE.replace(old, new)))
    assert message in str(caught.value)


def test_the_message_about_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no recipe 'smok'; recipes: smoke"):
        recipes.load("smok")


@pytest.mark.train
@pytest.mark.parametrize(
    ("name", "steps"), [("tulu2-13b", (3440, 1969)), ("tulu2-70b", (3440, 1969))]
)
def test_the_papers_recipes_have_its_batch_and_steps(name: str, steps: tuple[int, int]) -> None:
    from redraft.train.plan import show

    loaded = recipes.load(name)
    plans = [
        show(loaded, replace(step, accelerate=None))
        for step in loaded.steps
        if step.stage in ("sft", "dpo")
    ]
    for plan, count in zip(plans, steps, strict=True):
        assert f"{count} steps of 32," in plan  # 22,000 x 5 epochs; 63,000 x 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("tulu-2-7b", 6_738e6),
        ("tulu-2-13b", 13_016e6),
        ("tulu-2-70b", 68_977e6),
        ("smollm2", 134.5e6),
    ],
)
def test_the_sizes_of_known_models_are_theirs(name: str, parameters: float) -> None:
    assert KNOWN[name].parameters == pytest.approx(parameters, rel=1e-3)


def test_an_adapter_has_as_many_parameters_as_peft_gives_it() -> None:
    # r * (in + out) of q, k, v, o and of gate, up, down, in each of 32 layers
    assert KNOWN["tulu-2-7b"].adapter_parameters(16) == 39_976_960
    # keys and values of a third of the width
    assert KNOWN["smollm2"].adapter_parameters(32) == 9_768_960


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
