"""The trace store keeps every finished loop, whole, through rotation, crashes and bad disks."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from redraft.server.engine.base import Message, Usage
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Instruction,
    Iteration,
    PhaseTotals,
    ResponseText,
    Trace,
)
from redraft.server.telemetry.metrics import Metrics
from redraft.server.telemetry.traces import TraceStore
from redraft.train.data.records import read_traces
from tests.support.faults import fault
from tests.support.stored import stored_lines

ROOT = Path(__file__).resolve().parents[3]


def trace(instruction: str = "Capital of France?", answer: str = "Paris.") -> Trace:
    feedback = Feedback("Name it. Overall Score: [[3]]", score=3, weaknesses="No name.")
    return Trace(
        instruction=Instruction((Message("user", instruction),)),
        drafts=(Candidate(ResponseText("A city.", tokens=3)),),
        picked=0,
        iterations=(Iteration(feedback, ResponseText(answer, tokens=2)),),
        kept=1,
        stop_reason="max_iterations",
        totals={"draft": PhaseTotals(Usage(10, 3, 8, 1), 0.25)},
    )


def test_a_stored_trace_says_what_was_asked_what_was_written_and_why_it_ended(
    tmp_path: Path,
) -> None:
    store = TraceStore(tmp_path)
    store.append("request-1", "small", trace())
    store.close()
    (stored,) = stored_lines(tmp_path)
    assert stored.pop("time") > 1_700_000_000
    assert stored == {
        "id": "request-1",
        "model": "small",
        "instruction": [{"role": "user", "content": "Capital of France?"}],
        "answer": "Paris.",
        "drafts": [{"text": "A city.", "finish_reason": "stop", "tokens": 3}],
        "picked": 0,
        "iterations": [
            {
                "feedback": {
                    "text": "Name it. Overall Score: [[3]]",
                    "weaknesses": "No name.",
                    "suggestions": "",
                    "score": 3,
                },
                "refinement": {"text": "Paris.", "finish_reason": "stop", "tokens": 2},
            }
        ],
        "kept": 1,
        "scores": [3, None],
        "stop_reason": "max_iterations",
        "malformed": 0,
        "failure": None,
        "usage": {
            "draft": {
                "prompt_tokens": 10,
                "completion_tokens": 3,
                "cached_tokens": 8,
                "calls": 1,
                "seconds": 0.25,
            }
        },
    }


def test_what_the_server_stores_training_reads(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    store.append("1", "small", trace())
    store.close()
    (stored,) = read_traces(tmp_path)
    assert stored.instruction == trace().instruction
    assert [r.text for r in stored.responses] == [r.text for r in trace().responses]
    assert (stored.scores, stored.kept) == (trace().scores, trace().kept)


def test_files_are_rotated_by_size_and_read_in_order(tmp_path: Path) -> None:
    store = TraceStore(tmp_path, max_bytes=2000)
    for number in range(20):
        store.append(str(number), "small", trace())
    store.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 2
    assert all(file.stat().st_size <= 2000 for file in files)
    assert [stored["id"] for stored in stored_lines(tmp_path)] == [str(n) for n in range(20)]


def test_a_restarted_store_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    for number in range(3):
        store = TraceStore(tmp_path)
        store.append(str(number), "small", trace())
        store.close()
    assert len(list(tmp_path.iterdir())) == 1
    assert [stored["id"] for stored in stored_lines(tmp_path)] == ["0", "1", "2"]


@fault(
    "Disk",
    "A line of the trace store is torn by a crash",
    sees="nothing",
    lost="that trace",
    recovers="passes it over and begins a new line",
)
def test_a_line_torn_by_a_crash_is_passed_over_and_never_continued(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    store.append("whole", "small", trace())
    store.close()
    (file,) = tmp_path.iterdir()
    with file.open("ab") as torn:
        torn.write(b'{"id": "torn", "instr')
    assert [stored["id"] for stored in stored_lines(tmp_path)] == ["whole"]
    store = TraceStore(tmp_path)
    store.append("after", "small", trace())
    store.close()
    assert [stored["id"] for stored in stored_lines(tmp_path)] == ["whole", "after"]


@fault(
    "Server",
    "kill -9 of the server",
    sees="a broken connection",
    lost="what was running, and traces not yet written",
    recovers="is started again by its supervisor; stored traces are whole",
)
def test_what_was_stored_survives_the_death_of_the_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        "from tests.server.telemetry.test_traces import trace\n"
        "from pathlib import Path\n"
        "from tests.support.stored import stored_lines\n"
        "from redraft.server.telemetry.traces import TraceStore\n"
        "store = TraceStore(sys.argv[1])\n"
        "for number in range(50): store.append(str(number), 'small', trace())\n"
        "while len(list(stored_lines(Path(sys.argv[1])))) < 20: time.sleep(0.001)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    stored = [stored["id"] for stored in stored_lines(tmp_path)]
    assert len(stored) >= 20
    assert stored == [str(number) for number in range(len(stored))]


def counted(store: TraceStore) -> tuple[CollectorRegistry, TraceStore]:
    registry = CollectorRegistry()
    store.report_to(Metrics(registry).trace)
    return registry, store


def count(registry: CollectorRegistry, outcome: str) -> float:
    return registry.get_sample_value("redraft_traces_total", {"outcome": outcome}) or 0


@fault(
    "Disk",
    "The folder of `--traces` cannot be written to",
    sees="its answers, as ever",
    lost="traces, counted in `redraft_traces_total` and said once in the log",
    recovers="makes it again as soon as it can",
)
def test_a_disk_that_refuses_loses_traces_not_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "traces"
    registry, store = counted(TraceStore(directory))
    store.append("first", "small", trace())
    store.flush()
    directory.rename(tmp_path / "moved")
    directory.touch()  # a file where the directory should be: nothing can be made there
    for name in ("second", "third"):
        store.append(name, "small", trace())
    store.flush()
    assert count(registry, "lost") == 2
    assert "trace second was not stored" in caplog.text
    assert "trace third" not in caplog.text  # counted, and said once
    directory.unlink()
    store.append("fourth", "small", trace())
    store.close()
    assert [stored["id"] for stored in stored_lines(directory)] == ["fourth"]
    assert count(registry, "stored") == 2


@fault(
    "Disk",
    "The file or folder of the trace store is removed",
    sees="its answers, as ever",
    lost="what was in it",
    recovers="notices, makes it again and says so once",
)
@pytest.mark.parametrize("removed", ["file", "directory", "file replaced"])
def test_a_store_that_was_removed_is_made_again(
    tmp_path: Path, removed: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="redraft.server.telemetry.traces")
    directory = tmp_path / "traces"
    registry, store = counted(TraceStore(directory))
    store.append("first", "small", trace())
    store.flush()
    (file,) = directory.iterdir()
    if removed == "directory":
        shutil.rmtree(directory)
    else:
        file.unlink()
    if removed == "file replaced":
        file.write_bytes(b"")
    for name in ("second", "third"):
        store.append(name, "small", trace())
    store.close()
    assert [stored["id"] for stored in stored_lines(directory)] == ["second", "third"]
    assert caplog.text.count("was removed or moved") == 1
    assert (count(registry, "stored"), count(registry, "lost")) == (3, 0)


def test_only_the_owner_can_read_what_users_wrote(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "traces")
    store.close()
    (file,) = (tmp_path / "traces").iterdir()
    assert os.stat(tmp_path / "traces").st_mode & 0o077 == 0
    assert os.stat(file).st_mode & 0o077 == 0


@given(st.text(), st.sampled_from(["\ud800", "\u2028", "\x00", "\r\n", '"\\']))
def test_any_text_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, instruction: str, answer: str
) -> None:
    directory = tmp_path_factory.mktemp("traces")
    store = TraceStore(directory)
    store.append("1", "small", trace(instruction, answer))
    store.close()
    (stored,) = stored_lines(directory)
    assert (stored["instruction"][0]["content"], stored["answer"]) == (instruction, answer)
    (file,) = directory.iterdir()
    assert json.loads(file.read_bytes()) == stored
