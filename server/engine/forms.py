"""Holds a completion to a form that is wanted, as far as its engine can be held to one."""

from __future__ import annotations

from dataclasses import replace

from redraft.server.engine.base import Constrains, Sampling

_TAKEN: dict[Constrains | None, tuple[str, ...]] = {
    "grammar": ("grammar", "json_schema"),
    "json_schema": ("json_schema",),
    None: (),
}


def held(sampling: Sampling, constrains: Constrains | None) -> Sampling:
    """With the first of the wanted forms that the engine takes as its constraint, unless another
    constraint is required."""
    if sampling.constraint is not None or not sampling.forms:
        return sampling
    taken = _TAKEN[constrains]
    return replace(
        sampling, constraint=next((form for form in sampling.forms if form.kind in taken), None)
    )
