"""IFEval's instructions as checks."""

from __future__ import annotations

import pytest

from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.grading.constrained import read_prompts
from redraft.benchmarks.grading.ifeval import checks_of
from tests.support.evaldata import stored


def test_less_than_leaves_the_number_itself_out() -> None:
    arguments = {"relation": "less than", "num_sentences": 6}
    (check,) = checks_of("length_constraints:number_sentences", arguments)
    assert check.arguments == {"at_most": 5}


def test_an_instruction_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'a:b' is of no kind of IFEval's; expected one of change"):
        checks_of("a:b", {})


def test_every_prompt_of_ifeval_is_shipped_and_can_be_read() -> None:
    prompts = read_prompts(IFEVAL)
    assert len({prompt.text for prompt in prompts}) == 541
    assert sum(len(prompt.checks) for prompt in prompts) == 834
    assert len({kind for prompt in prompts for kind in prompt.kinds}) == 25


def test_what_is_shipped_is_what_its_authors_publish() -> None:
    assert IFEVAL.read_bytes() == stored("ifeval/input_data.jsonl").read_bytes()
