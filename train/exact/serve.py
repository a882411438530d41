"""Serve the exact critic and judge on the loopback.

    redraft train exact --port 8001 --noise 0.2 --seed 1
    redraft serve --critic exact=http://127.0.0.1:8001/v1

Prints where it listens; ``--port 0`` takes a free port.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.server.options import ConfigError, option
from redraft.train.program import read


@dataclass(frozen=True, slots=True)
class ExactOptions:
    """The workbench's exact critic and judge, for whatever speaks OpenAI's API."""

    host: str = option("address to listen at; it has no keys, so keep to the loopback", "127.0.0.1")
    port: int = option("to listen at; 0: a free one", 8001)
    noise: float = option("share of the critic's verdicts that are wrong; the judge is exact", 0.0)
    seed: int = option("of which verdicts are wrong", 0)


def main(argv: Sequence[str]) -> int:
    options = read(ExactOptions, "exact", argv)
    if not 0 <= options.noise <= 1:
        raise ConfigError(f"exact option 'noise' is {options.noise:g}, expected a share, 0 to 1")
    import uvicorn

    from redraft.train.exact.app import build_app
    from redraft.train.exact.opinion import Noise

    app = build_app(Noise(options.noise, options.seed))
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
