"""Serve the exact critic and judge on the loopback.

    redraft train exact --port 8001 --noise 0.2 --seed 1
    redraft serve --critic exact=http://127.0.0.1:8001/v1
    redraft train exact --constraints constraints.jsonl

The second knows instructions with checks, as ``redraft train constraints`` and ``redraft bench
ifeval-instructions`` write them: its critic gives feedback as ``--critic checks`` does, and a
response is right when all checks hold.

Prints where it listens; ``--port 0`` takes a free port.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.server.options import ConfigError, option
from redraft.train.program import read


@dataclass(frozen=True, slots=True)
class ExactOptions:
    """An exact critic and judge, for whatever speaks OpenAI's API."""

    host: str = option("address to listen at; it has no keys, so keep to the loopback", "127.0.0.1")
    port: int = option("to listen at; 0: a free one", 8001)
    constraints: Path | None = option("instructions with checks; none: the workbench's", None)
    noise: float = option("share of the critic's verdicts that are wrong; the judge is exact", 0.0)
    seed: int = option("of which verdicts are wrong", 0)


def main(argv: Sequence[str]) -> int:
    options = read(ExactOptions, "exact", argv)
    if not 0 <= options.noise <= 1:
        raise ConfigError(f"exact option 'noise' is {options.noise:g}, expected a share, 0 to 1")
    import uvicorn

    from redraft.train.exact.app import build_app
    from redraft.train.exact.examiner import Noise
    from redraft.train.exact.of_constraints import OfConstraints
    from redraft.train.exact.of_workbench import OfWorkbench

    noise = Noise(options.noise, options.seed)
    known = options.constraints
    app = build_app(OfConstraints.read(known, noise) if known else OfWorkbench(noise))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((options.host, options.port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {options.host}:{options.port}: {error.strerror}; give another "
                "--port"
            ) from error
        listener.listen()
        port = listener.getsockname()[1]
        print(f"exact: http://{options.host}:{port}/v1", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stopped)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        asyncio.run(server.serve(sockets=[listener]))
    return 0


def _stopped(*_: object) -> None:
    """uvicorn has shut down by now and raises the signal again; a stop is no failure."""
