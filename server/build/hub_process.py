"""Fetches a model of the hub in a process of its own, which can be ended at any moment, and whose
threads no engine inherits when it is forked.

It writes JSON lines: ``say`` for progress, and at the end ``directory`` or ``error``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from redraft.child_process import environment, python
from redraft.server.build.fetching import Fetching
from redraft.server.build.hub import Hub
from redraft.server.build.repository import HubName
from redraft.server.engine.base import EngineError


def fetch(name: HubName, fetching: Fetching, memory: int | None) -> Path:
    """As ``Hub.fetch``, and ended at once when the fetching is stopped."""
    command = python("-c", f"import {__name__}; {__name__}.main()", str(name), str(memory or ""))
    # A session of its own: Ctrl-C in a terminal reaches us alone, and we end it.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment(), text=True, start_new_session=True
    ) as process:
        threading.Thread(target=_end_when_stopped, args=(process, fetching), daemon=True).start()
        assert process.stdout
        try:
            for line in process.stdout:
                message = json.loads(line)
                if "directory" in message:
                    return Path(message["directory"])
                if "error" in message:
                    raise EngineError(message["error"])
                fetching.say(message["say"])
        finally:
            process.kill()
    fetching.check()
    raise EngineError(f"the process that fetches {name} has ended; run again, and it goes on")


def _end_when_stopped(process: subprocess.Popen[str], fetching: Fetching) -> None:
    fetching.stopped.wait()
    process.kill()


def _write(**message: str) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    name, memory = HubName.parse(sys.argv[1]), sys.argv[2]
    assert name, "fetch has parsed it"
    try:
        directory = Hub().fetch(
            name, Fetching(lambda line: _write(say=line)), int(memory) if memory else None
        )
    except EngineError as error:
        _write(error=str(error))
    else:
        _write(directory=str(directory))
