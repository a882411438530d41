"""The stages by name: ``redraft train STAGE ...`` and ``python -m redraft.train STAGE ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from redraft.train.program import run
from redraft.train.stages import STAGES

# In the order you run them; "run" runs the whole of a recipe.
_TOLD = {
    "collect": "drafts of the base model, a critic's feedback and refinements",
    "filter": "keep complete feedback and refinements that are no worse than their drafts",
    "sft": "stage one: learn to give feedback and refine (also base training)",
    "preferences": "the tuned model's own drafts and refinements, as pairs",
    "dpo": "stage two: prefer the refinement",
    "agreement": "how far the model's scores agree with given judgements",
    "merge": "weights, tokenizer and redraft.json, ready to serve",
    "run": "all stages of a recipe; goes on where it stopped",
    "exact": "serve the workbench's exact critic and judge over HTTP",
}
_MODULES = {**STAGES, "run": "redraft.train.recipe", "exact": "redraft.train.exact.serve"}


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: redraft train STAGE [options]; each stage has --help\n")
        print("\n".join(f"  {name:12} {what}" for name, what in _TOLD.items()))
        return 0
    stage, *rest = argv
    if stage not in _MODULES:
        print(f"unknown stage {stage!r}; stages: {', '.join(_TOLD)}", file=sys.stderr)
        return 2
    return run(import_module(_MODULES[stage]).main, rest)


if __name__ == "__main__":
    sys.exit(main())
