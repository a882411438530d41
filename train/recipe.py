"""Recipes: YAML files of steps, each a stage with its options, every value resolved once.

A step's option is what the recipe says, else the environment (``REDRAFT_STAGE_OPTION``), else the
stage's default. The values in force are what a step is run with, and what it is known by.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from redraft.server.options import ConfigError, build, read_file, read_yaml
from redraft.train.engines import spec
from redraft.train.program import prefix
from redraft.train.sizing import Plan
from redraft.train.stages import STAGES, options_of

RECIPES = Path(__file__).parent / "recipes"
ACCELERATE = Path(__file__).parent / "accelerate"
_REFERENCE = re.compile(r"\$\{(\w+)\}")
_SCALED = re.compile(r"^\s*(\d+)\s*\*\s*\$\{(\w+)\}\s*$")


@dataclass(frozen=True, slots=True)
class RecipeStep:
    """One stage with its options, under a name of its own."""

    name: str
    stage: str
    options: Any  # the stage's own dataclass
    accelerate: Path | None = None  # the configuration to launch it with

    def values(self) -> dict[str, Any]:
        """Every option of the stage, those of the engines it names included, as JSON has values."""
        values = asdict(self.options)
        for field in fields(self.options):
            if field.metadata["shorthand"] == "model":
                values[field.name] = _engines(values[field.name], field.name)
        plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
        return plain

    def identity(self, predecessor: str) -> str:
        """Changes with any value in force, and with those of the steps before."""
        content = json.dumps([predecessor, self.stage, self.values()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    output: Path
    steps: tuple[RecipeStep, ...]
    base: str  # the model all weights come from; empty: made by the recipe itself
    plan: Plan


def load(
    name: str,
    changes: Sequence[str] = (),
    output: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Recipe:
    """A recipe by name or file, every option checked. ``changes``: NAME=VALUE, of any value;
    ``output`` takes the place of the recipe's own."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise ConfigError(f"no recipe {name!r}; recipes: {known}, or give a .yaml file")
    content = read_file(path)
    for change in changes:
        _change(content, change)
    if output is not None:
        content["output"] = output
    if missing := {"name", "output", "steps"} - content.keys():
        raise ConfigError(f"{path} has no {min(missing)!r}")
    if not isinstance(content["steps"], Mapping):
        raise ConfigError(f"{path}: steps is {content['steps']!r}, expected steps by name")
    for step, given in content["steps"].items():
        if not isinstance(given, Mapping | None):
            raise ConfigError(f"{path}: step {step!r} is {given!r}, expected options by name")
    values = {key: value for key, value in content.items() if key != "steps"}
    values = {key: _resolved(value, values) for key, value in values.items()}
    steps = content["steps"].items()
    return Recipe(
        str(values["name"]),
        Path(str(values["output"])),
        tuple(_step(name, dict(step or {}), values, environ) for name, step in steps),
        str(values.get("base") or ""),
        build(Plan, values.get("plan") or {}, "plan"),
    )


def selected(recipe: Recipe, only: Sequence[str], until: str | None) -> tuple[str, ...]:
    """The names of the steps to run: all, those named, or those up to one."""
    names = [step.name for step in recipe.steps]
    if unknown := [name for name in (*only, *([until] if until else [])) if name not in names]:
        raise ConfigError(f"recipe {recipe.name} has no step {unknown[0]!r}: {', '.join(names)}")
    if until:
        names = names[: names.index(until) + 1]
    return tuple(name for name in names if name in only or not only)


def _step(
    name: str, content: dict[str, Any], values: Mapping[str, Any], environ: Mapping[str, str]
) -> RecipeStep:
    stage = content.pop("stage", name)
    if stage not in STAGES:
        raise ConfigError(f"step {name!r}: unknown stage {stage!r}; stages: {', '.join(STAGES)}")
    accelerate = _accelerate(name, content.pop("accelerate", None))
    options = build(options_of(stage), _resolved(content, values), stage, environ, prefix(stage))
    step = RecipeStep(name, stage, options, accelerate)
    step.values()  # an engine that cannot be used is found before the first step runs
    return step


def _engines(named: Any, option: str) -> Any:
    """The engine, or the engines, of an option with all their defaults."""
    if isinstance(named, Mapping):
        return asdict(spec(named, option)) if named else named
    return [_engines(each, option) for each in named]


def _accelerate(step: str, name: str | None) -> Path | None:
    if not name:
        return None
    path = ACCELERATE / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in ACCELERATE.glob("*.yaml")))
        raise ConfigError(f"step {step!r}: no accelerate config {name!r}; known: {known}")
    return path


def _resolved(value: Any, values: Mapping[str, Any]) -> Any:
    """``${output}`` becomes the recipe's value; ``2000 * ${scale}`` the product."""
    if isinstance(value, Mapping):
        return {key: _resolved(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, values) for each in value]
    if not isinstance(value, str):
        return value
    if product := _SCALED.match(value):
        return round(int(product[1]) * float(_value(product[2], values)))
    if whole := _REFERENCE.fullmatch(value):
        return _value(whole[1], values)
    return _REFERENCE.sub(lambda match: str(_value(match[1], values)), value)


def _value(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise ConfigError(f"${{{name}}} is not a value of the recipe; known: {', '.join(values)}")
    return values[name]


def _change(content: dict[str, Any], change: str) -> None:
    """``seed=7`` or ``steps.sft.trainer.max_steps=10``."""
    path, equals, value = change.partition("=")
    *parents, last = path.split(".")
    place: Any = content
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    if not equals or not isinstance(place, dict):
        raise ConfigError(f"--set {change!r} fits nothing in the recipe; give NAME=VALUE")
    place[last] = read_yaml(value, f"--set {path}")
