"""A full disk costs traces, and nothing else.
Spans: server/run, server/telemetry"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.faults import fault
from tests.support.program import running
from tests.support.stored import stored_lines

ASKED = {"prompt": "Capital of France?"}


def ask(url: str) -> None:
    answer = httpx.post(f"{url}/v1/refine", json=ASKED, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["answer"]


@fault(
    "Disk",
    "The disk of `--traces` is full",
    sees="its answers, as ever",
    lost="the traces that do not fit: counted in `redraft_traces_total`, said once in the log",
    recovers="stores traces again once there is room; a line cut by it is passed over",
)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_a_full_disk_costs_traces_and_no_answers(tmp_path: Path) -> None:
    with running("--engine", "scripted", "--traces", str(tmp_path)) as program:
        ask(program.url)
        while not (before := list(stored_lines(tmp_path))):
            pass  # it is stored by another thread
        (file,) = tmp_path.iterdir()
        process = program.process.pid
        resource.prlimit(process, resource.RLIMIT_FSIZE, (file.stat().st_size + 100, -1))
        for _ in range(3):
            ask(program.url)
        program.until("was not stored")
        assert 'outcome="lost"' in httpx.get(f"{program.url}/metrics").text
        resource.prlimit(process, resource.RLIMIT_FSIZE, (-1, -1))
        ask(program.url)
        while len(stored := list(stored_lines(tmp_path))) == len(before):
            pass
        assert len({trace["id"] for trace in stored}) == len(stored)
