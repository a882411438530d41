"""A completion is held to the first form that is wanted and that the engine takes."""

from __future__ import annotations

import pytest

from redraft.server.engine.base import Constrains, Constraint, Sampling
from redraft.server.engine.forms import held

GRAMMAR = Constraint("grammar", 'root ::= "yes" | "no"')
SCHEMA = Constraint("json_schema", "{}")


@pytest.mark.parametrize(
    ("constrains", "form"), [("grammar", GRAMMAR), ("json_schema", SCHEMA), (None, None)]
)
def test_the_first_form_the_engine_takes(
    constrains: Constrains | None, form: Constraint | None
) -> None:
    assert held(Sampling(forms=(GRAMMAR, SCHEMA)), constrains).constraint == form


def test_a_constraint_that_is_required_stays() -> None:
    required = Sampling(constraint=SCHEMA, forms=(GRAMMAR,))
    assert held(required, "grammar").constraint == held(required, None).constraint == SCHEMA
