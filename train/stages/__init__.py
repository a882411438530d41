"""The stages a recipe can name, in the order they are run.

How to add a stage: write a module with a frozen dataclass of options and ``main(argv)`` that
reads them with ``program.read``; name both here; use it in a recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage by name, so that the menu need not import it."""

    module: str  # in this package
    options: str  # the dataclass of its options
    description: str

    @property
    def path(self) -> str:
        return f"{__name__}.{self.module}"


_STAGES = (
    Stage("base_model", "BaseModelOptions", "the workbench's model, untrained"),
    Stage("tasks", "TasksOptions", "the workbench's instructions, with right responses"),
    Stage("constraints", "ConstraintsOptions", "instructions with constraints a program verifies"),
    Stage("collect", "CollectOptions", "drafts, and a critic's feedback and refinements"),
    Stage("filter", "FilterOptions", "keep complete feedback and refinements that are no worse"),
    Stage("sft", "SftOptions", "stage one: learn feedback and refinement; also base training"),
    Stage("preferences", "PreferencesOptions", "the tuned model's own responses, as pairs"),
    Stage("dpo", "DpoOptions", "stage two: prefer the refinement"),
    Stage("mending", "MendingOptions", "how far the model mends its own drafts"),
    Stage("agreement", "AgreementOptions", "how far the model's scores agree with judgements"),
    Stage("adapter", "AdapterOptions", "an adapter with redraft.json, ready to serve on its base"),
    Stage("merge", "MergeOptions", "weights, tokenizer and redraft.json, ready to serve"),
)
STAGES = {stage.module: stage for stage in _STAGES}


def options_of(stage: str) -> type[Any]:
    """The dataclass of a stage's options."""
    options: type[Any] = getattr(import_module(STAGES[stage].path), STAGES[stage].options)
    return options
