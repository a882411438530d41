"""A server that runs out of file descriptors says so, and goes on when there are some again."""

from __future__ import annotations

import resource
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.faults import fault
from tests.support.program import running

ASKED = {"prompt": "Capital of France?"}


@fault(
    "Server",
    "No file descriptor is left",
    sees="a closed connection, where it is new; its answer, where it is not",
    lost="new connections, said in the log",
    recovers="takes connections again as soon as there are some",
)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_out_of_descriptors_is_logged_and_survived() -> None:
    with running("--engine", "scripted") as program:
        port = urlsplit(program.url).port
        process = program.process.pid
        few = len(list(Path(f"/proc/{process}/fd").iterdir())) + 8
        most = resource.prlimit(process, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(process, resource.RLIMIT_NOFILE, (few, most))
        with ExitStack() as stack:
            for _ in range(16):
                client = stack.enter_context(socket.socket())
                client.connect(("127.0.0.1", port))
            program.until("out of file descriptors")
        program.until("there are file descriptors again")
        answer = httpx.post(f"{program.url}/v1/refine", json=ASKED, timeout=60)
        assert answer.status_code == 200
        assert answer.json()["answer"]
