"""The shipped adapter: its size, and a card and manifest that say what was measured.
Spans: train, models"""

from __future__ import annotations

import json

import pytest

from redraft.server.build.names import SHIPPED, shipped

ADAPTER = SHIPPED / "redraft-smollm2"


def test_it_is_served_by_its_name_and_small() -> None:
    assert "redraft-smollm2" in shipped()
    size = sum(file.stat().st_size for file in ADAPTER.glob("adapter_model.*"))
    assert 1_000_000 < size <= 20_000_000
    assert not [*ADAPTER.glob("*.bin"), *ADAPTER.glob("*.pt")]


def test_the_manifest_says_what_was_measured() -> None:
    measured = json.loads((ADAPTER / "mending.json").read_text())["ifeval"]
    stated = json.loads((ADAPTER / "redraft.json").read_text())["evaluation"]["ifeval"]
    for level in ("prompt_level", "instruction_level"):
        assert [*stated[f"{level}_strict"].values()] == measured[level]
    assert [stated["mended"]] == measured["mended"]
    assert [stated["spoiled"]] == measured["spoiled"]
    assert stated["feedback_readable"] == measured["readable"]


@pytest.mark.parametrize("file", ["ifeval", "test", "unseen"])
def test_the_card_says_what_was_measured(file: str) -> None:
    measured = json.loads((ADAPTER / "mending.json").read_text())[file]
    card = (ADAPTER / "README.md").read_text()
    draft, refined = measured["prompt_level"]
    assert f"| {draft}% | {refined}% |" in card
    assert str(measured["mended"][0]) in card
