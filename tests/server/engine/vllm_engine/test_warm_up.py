"""The warm-up on a real, tiny model: it ends by itself, delays no one, and any engine takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server.engine.vllm_engine import DraftMarkers
from redraft.server.engine.vllm_engine.warm_up import warm_up
from tests.support import tiny_model
from tests.support.tiny_engine import ask, running_engine, until

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def test_it_runs_behind_requests_and_ends(model: Path) -> None:
    with running_engine(model, warm_up=True) as running:
        core = running.engine._core
        assert core is not None
        assert ask(running).usage.completion_tokens == 40
        running.run(until(lambda: not core.warming))
        assert running.engine.num_unfinished() == 0


@pytest.mark.parametrize("markers", [None, DraftMarkers((1,), (2,), 3)])
def test_every_engine_takes_it(model: Path, markers: DraftMarkers | None) -> None:
    with running_engine(model, draft_markers=markers) as running:
        core = running.engine._core
        assert core is not None
        speculates = markers is not None
        running.run(warm_up(core._llm, speculates=speculates, by_priority=True))
        assert running.engine.num_unfinished() == 0


def test_an_engine_that_closes_does_not_wait_for_it(model: Path) -> None:
    with running_engine(model, warm_up=True):
        pass
