"""Run the whole of a recipe; stop it and start it again anywhere.

    redraft train run smoke                      a recipe of train/recipes, by name
    redraft train run my.yaml --set seed=7       a file; any value of it can be set
    redraft train run tulu2-70b --dry-run        check everything, print the plan, train nothing
    redraft train run workbench --until filter   the lessons, and no further
    redraft train run workbench --only stage1 merge    these steps; what they read is there

Each step runs in a process of its own (under ``accelerate launch`` where the step names a config
of train/accelerate), and leaves OUTPUT/.steps/NAME.json when it is done; a step whose options
and predecessors have not changed since is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redraft.server import jsonl
from redraft.server.options import ConfigError, build, read_file
from redraft.train.sizing import Plan
from redraft.train.stages import STAGES, options_of

RECIPES = Path(__file__).parent / "recipes"
ACCELERATE = Path(__file__).parent / "accelerate"
_REFERENCE = re.compile(r"\$\{(\w+)\}")
_SCALED = re.compile(r"^\s*(\d+)\s*\*\s*\$\{(\w+)\}\s*$")


@dataclass(frozen=True, slots=True)
class Step:
    """One stage with its options, under a name of its own."""

    name: str
    stage: str
    options: Mapping[str, Any]
    accelerate: str | None = None  # a file of train/accelerate, without .yaml


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    output: Path
    steps: tuple[Step, ...]
    base: str  # the model all weights come from; empty: made by the recipe itself
    plan: Plan


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe by name or file, every value in it resolved and every option checked."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise ConfigError(f"no recipe {name!r}; recipes: {known}, or give a .yaml file")
    content = read_file(path)
    for change in changes:
        _change(content, change)
    if missing := {"name", "output", "steps"} - content.keys():
        raise ConfigError(f"{path} has no {min(missing)!r}")
    values = {k: v for k, v in content.items() if k != "steps"}
    values = {k: _resolved(v, values) for k, v in values.items()}
    steps = tuple(_step(name, given, values) for name, given in content["steps"].items())
    return Recipe(
        str(values["name"]),
        Path(str(values["output"])),
        steps,
        str(values.get("base") or ""),
        build(Plan, values.get("plan") or {}, "plan"),
    )


def _step(name: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> Step:
    given = dict(given or {})
    stage = given.pop("stage", name)
    if stage not in STAGES:
        raise ConfigError(f"step {name!r}: unknown stage {stage!r}; stages: {', '.join(STAGES)}")
    accelerate = given.pop("accelerate", None)
    if accelerate and not (ACCELERATE / f"{accelerate}.yaml").is_file():
        known = ", ".join(sorted(p.stem for p in ACCELERATE.glob("*.yaml")))
        raise ConfigError(f"step {name!r}: no accelerate config {accelerate!r}; known: {known}")
    options = _resolved(given, values)
    build(options_of(stage), options, stage)  # a typo is found here, before the first step runs
    return Step(name, stage, options, accelerate)


def _resolved(value: Any, values: Mapping[str, Any]) -> Any:
    """``${output}`` becomes the recipe's value; ``2000 * ${scale}`` the product."""
    if isinstance(value, Mapping):
        return {k: _resolved(v, values) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolved(v, values) for v in value]
    if not isinstance(value, str):
        return value
    if product := _SCALED.match(value):
        return round(int(product[1]) * float(_value(product[2], values)))
    if whole := _REFERENCE.fullmatch(value):
        return _value(whole[1], values)
    return _REFERENCE.sub(lambda found: str(_value(found[1], values)), value)


def _value(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise ConfigError(f"${{{name}}} is not a value of the recipe; known: {', '.join(values)}")
    return values[name]


def _change(content: dict[str, Any], change: str) -> None:
    """``seed=7`` or ``steps.sft.trainer.max_steps=10``."""
    path, equals, value = change.partition("=")
    *parents, last = path.split(".")
    place = content
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None  # type: ignore[assignment]
    if not equals or not isinstance(place, dict):
        raise ConfigError(f"--set {change!r} fits nothing in the recipe; give NAME=VALUE")
    place[last] = yaml.safe_load(value)


def selected(recipe: Recipe, only: Sequence[str], until: str | None) -> tuple[str, ...]:
    """The names of the steps to run: all, those named, or those up to one."""
    names = [step.name for step in recipe.steps]
    if unknown := [name for name in (*only, *([until] if until else [])) if name not in names]:
        raise ConfigError(f"recipe {recipe.name} has no step {unknown[0]!r}: {', '.join(names)}")
    if until:
        names = names[: names.index(until) + 1]
    return tuple(name for name in names if name in only or not only)


def run(recipe: Recipe, names: Sequence[str] = ()) -> int:
    """Run what is not done yet, of the steps named or all; returns the first exit status that is
    not zero."""
    before = ""
    started = time.monotonic()
    for number, step in enumerate(recipe.steps, 1):
        before = _identity(step, before)
        if names and step.name not in names:
            continue
        mark = recipe.output / ".steps" / f"{step.name}.json"
        title = f"[{number}/{len(recipe.steps)}] {step.name}"
        if _done(mark) == before:
            print(f"{title}: done before", flush=True)
            continue
        print(f"{title}: {step.stage}", flush=True)
        began = time.monotonic()
        if code := _execute(step, recipe.output):
            print(f"{title}: exit status {code}; run the recipe again to go on", flush=True)
            return code
        seconds = round(time.monotonic() - began, 1)
        jsonl.write_json(mark, {"identity": before, "seconds": seconds})
        print(f"{title}: {seconds:.0f} s", flush=True)
    print(f"recipe {recipe.name}: {time.monotonic() - started:.0f} s in all", flush=True)
    return 0


def plan(recipe: Recipe, names: Sequence[str] = ()) -> int:
    """Check every step with those who will read its options, and print what it would take."""
    from redraft.train.plan import show

    for number, step in enumerate(recipe.steps, 1):
        if names and step.name not in names:
            continue
        accelerate = str(ACCELERATE / f"{step.accelerate}.yaml") if step.accelerate else None
        print(f"[{number}/{len(recipe.steps)}] {step.name}: {step.stage}")
        print(show(step.stage, step.options, recipe.plan, recipe.base, accelerate), flush=True)
    return 0


def _execute(step: Step, output: Path) -> int:
    config = output / ".steps" / f"{step.name}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(dict(step.options), sort_keys=False), encoding="utf-8")
    launcher = [sys.executable, "-m"]
    if step.accelerate:
        file = str(ACCELERATE / f"{step.accelerate}.yaml")
        launcher += ["accelerate.commands.launch", "--config_file", file, "-m"]
    command = [*launcher, "redraft.train", step.stage, "--config", str(config)]
    return subprocess.run(command, check=False).returncode


def _identity(step: Step, before: str) -> str:
    said = json.dumps([before, step.stage, step.options], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _done(mark: Path) -> str | None:
    if not mark.is_file():
        return None
    identity: str = json.loads(mark.read_text(encoding="utf-8"))["identity"]
    return identity


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="redraft train run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("recipe", help="a name from train/recipes, or a .yaml file")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="changes")
    parser.add_argument("--output", help="folder for everything the recipe writes")
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help="run these alone")
    parser.add_argument("--until", metavar="STEP", help="run nothing after this one")
    parser.add_argument("--dry-run", action="store_true", help="check all, print the plan")
    given = parser.parse_args(argv)
    changes = [*given.changes, *([f"output={given.output}"] if given.output else [])]
    recipe = load(given.recipe, changes)
    names = selected(recipe, given.only, given.until)
    return plan(recipe, names) if given.dry_run else run(recipe, names)
