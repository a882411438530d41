"""Runs the steps of a recipe: ``redraft train run --help``.

Each step runs in a process of its own (under ``accelerate launch`` where the step names a config
of train/accelerate), and leaves OUTPUT/.steps/NAME.json when it is done. It is run again when a
value of its options has changed since, or one of the steps before it has.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.child_process import environment, python_module
from redraft.server import jsonl
from redraft.server.options import option
from redraft.train import program
from redraft.train.recipe import Recipe, RecipeStep, load, selected


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Run the whole of a recipe; stop it and start it again anywhere.

    redraft train run smoke                      a recipe of train/recipes, by name
    redraft train run my.yaml --set seed=7       a file; any value of it can be set
    redraft train run tulu2-70b --dry-run        check everything, print the plan, run nothing
    redraft train run workbench --until filter   the lessons, and no further
    redraft train run workbench --only stage1 merge    these steps; what they read is there
    """

    recipe: str = option("a name of train/recipes, or a .yaml file", positional="RECIPE")
    set: tuple[str, ...] = option(
        "NAME=VALUE of anything in the recipe; repeat it", (), repeat=True
    )
    output: str | None = option("folder for everything the recipe writes; none: its own", None)
    only: tuple[str, ...] = option("run these steps alone", ())
    until: str | None = option("run no step after this one", None)
    dry_run: bool = option("check all, print the plan, run nothing", False)


def run(recipe: Recipe, names: Sequence[str] = ()) -> int:
    """Run what is not done yet, of the steps named or all; returns the first exit status that is
    not zero."""
    started = time.monotonic()
    identity = ""
    for step, title in _titled(recipe):
        identity = step.identity(identity)
        if names and step.name not in names:
            continue
        mark = recipe.output / ".steps" / f"{step.name}.json"
        if _recorded(mark) == identity:
            print(f"{title}: done before", flush=True)
            continue
        print(f"{title}: {step.stage}", flush=True)
        began = time.monotonic()
        if code := _execute(step, mark.parent / "options" / mark.name):
            print(f"{title}: exit status {code}; run the recipe again to go on", flush=True)
            return code
        seconds = round(time.monotonic() - began, 1)
        jsonl.write_json(mark, {"identity": identity, "seconds": seconds})
        print(f"{title}: {seconds:.0f} s", flush=True)
    print(f"recipe {recipe.name}: {time.monotonic() - started:.0f} s in all", flush=True)
    return 0


def plan(recipe: Recipe, names: Sequence[str] = ()) -> int:
    """Check every step with the libraries that read its options, and print what it would take."""
    from redraft.train.plan import show

    for step, title in _titled(recipe):
        if not names or step.name in names:
            print(f"{title}: {step.stage}\n{show(recipe, step)}", flush=True)
    return 0


def _titled(recipe: Recipe) -> Iterator[tuple[RecipeStep, str]]:
    for number, step in enumerate(recipe.steps, 1):
        yield step, f"[{number}/{len(recipe.steps)}] {step.name}"


def _execute(step: RecipeStep, config: Path) -> int:
    """The exit status of a step. Its file holds every option, so that neither the environment nor
    a default decides anything a second time."""

    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(step.values(), indent=2), encoding="utf-8")
    command = python_module("redraft.train", step.stage, "--config", str(config))
    if step.accelerate:
        command = _launched(command, step.accelerate)
    return subprocess.run(command, env=environment(), check=False).returncode


def _launched(command: Sequence[str], config: Path) -> list[str]:
    """``command`` in each process of ``accelerate launch``. With DeepSpeed, accelerate adds the
    current folder to PYTHONPATH, which ``env`` takes back."""
    path = environment().get("PYTHONPATH")
    restored = ["env", f"PYTHONPATH={path}"] if path else ["env", "-u", "PYTHONPATH"]
    launcher = python_module("accelerate.commands.launch", "--config_file", str(config))
    return [*launcher, "--no_python", *restored, *command]


def _recorded(mark: Path) -> str | None:
    """The identity the step had when it was last done."""
    if not mark.is_file():
        return None
    return str(json.loads(mark.read_text(encoding="utf-8"))["identity"])


def main(arguments: Sequence[str]) -> int:
    options = program.read(RunOptions, "run", arguments)
    recipe = load(options.recipe, options.set, options.output)
    names = selected(recipe, options.only, options.until)
    return plan(recipe, names) if options.dry_run else run(recipe, names)
