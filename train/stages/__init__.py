"""The stages a recipe can name, and the options each takes.

How to add a stage: write a module with a frozen dataclass of options and ``main(argv)`` that
reads them with ``program.read``; name both here; use it in a recipe.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# stage: the module that runs it, and the dataclass of its options
_STAGES = {
    "base_model": ("redraft.train.stages.base_model", "BaseModelOptions"),
    "tasks": ("redraft.train.stages.tasks", "TasksOptions"),
    "collect": ("redraft.train.stages.collect", "CollectOptions"),
    "filter": ("redraft.train.stages.filter", "FilterOptions"),
    "sft": ("redraft.train.stages.sft", "SftOptions"),
    "preferences": ("redraft.train.stages.preferences", "PreferencesOptions"),
    "dpo": ("redraft.train.stages.dpo", "DpoOptions"),
    "agreement": ("redraft.train.stages.agreement", "AgreementOptions"),
    "merge": ("redraft.train.stages.merge", "MergeOptions"),
}
STAGES = {stage: module for stage, (module, _) in _STAGES.items()}


def options_of(stage: str) -> type[Any]:
    """The dataclass of a stage's options."""
    module, name = _STAGES[stage]
    found: type[Any] = getattr(import_module(module), name)
    return found
