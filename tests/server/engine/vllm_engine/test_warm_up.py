"""The warm-up on a real, tiny model: it ends by itself, delays no one, and any engine takes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.server.engine.base import Constraint
from redraft.server.engine.vllm_engine.warm_up import warm_up
from tests.support import tiny_model
from tests.support.tiny_engine import Running, ask, changed, running_engine, until

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


@pytest.mark.parametrize("speculates", [False, True])
def test_every_engine_takes_it(model: Path, speculates: bool) -> None:
    with running_engine(model, speculates=speculates) as running:
        core = running.engine._core
        assert core is not None
        running.run(warm_up(core._llm, speculates=speculates, by_priority=True))
        assert running.engine.num_unfinished() == 0


def test_an_engine_that_closes_does_not_wait_for_it(model: Path) -> None:
    with running_engine(model, warm_up=True):
        pass


COUNTED = ("--worker-extension-cls", "tests.support.counting_worker.CountingWorker")
FIRST_USES = (
    changed(logprobs=5),
    changed(logprobs=0, top_k=5, top_p=0.9, min_p=0.1, presence_penalty=0.1),
    changed(ignore_eos=False, constraint=Constraint("regex", "[a-z]{1,9}")),
)


def compiled(running: Running) -> int:
    """How many graphs torch has compiled in the engine's process."""
    core = running.engine._core
    assert core is not None
    return int(running.run(core._llm.collective_rpc("graphs"))[0])


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operator's option, also where torch was imported with another."""
    import torch._dynamo.config as config

    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "0")
    before, config.disable = config.disable, False
    yield
    config.disable = before


@pytest.mark.slow
@pytest.mark.usefixtures("compiling")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++ on a CPU")
@pytest.mark.parametrize("warm", [True, False])
def test_what_is_compiled_at_first_use_is_compiled_before_a_request_uses_it(
    model: Path, warm: bool
) -> None:
    """With the option that has vLLM compile its sampler on a CPU. Without the warm-up, the first
    request with logprobs compiles, which all others wait for."""
    with running_engine(model, warm_up=warm, extra_args=COUNTED) as running:
        core = running.engine._core
        assert core is not None
        running.run(until(lambda: not core.warming))
        before = compiled(running)
        for sampling in FIRST_USES:
            ask(running, sampling)
        assert (compiled(running) == before) == warm
