"""Runs the server: checks, binds its port, builds the engine, serves, drains. Run:

    python -m redraft.server --help
    python -m redraft.server --engine scripted

The port is bound before the engine is built, so that a port in use is reported at once and not
after a model has been loaded. Requests that arrive meanwhile wait until the engine is ready.

SIGHUP reads the API keys again; when the terminal has been closed it stops the server.

Exit codes: 0 after SIGINT or SIGTERM, 1 when the engine cannot be brought back and
--exit-when-down is given, 2 when it cannot start (one line says why), 130 after a second SIGINT,
which does not wait for running requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI

from redraft import __version__
from redraft.server import build
from redraft.server.admission import Admission, RateLimits
from redraft.server.api.app import build_app
from redraft.server.api.connections import ConnectionBounds, bounded
from redraft.server.api.keyring import Keyring
from redraft.server.config import ServerConfig, read
from redraft.server.engine import garbage
from redraft.server.engine.base import EngineError
from redraft.server.model import ServedModel
from redraft.server.options import ConfigError
from redraft.server.refine.manifest import ManifestError
from redraft.server.service import Service
from redraft.server.telemetry import descriptors, logs
from redraft.server.telemetry.metrics import Metrics
from redraft.server.telemetry.traces import TraceStore

CANNOT_START = 2
TRY = "Write two sentences about the sea without any commas."
QUIT_AT_ONCE = 130
IDLE_S = 75  # longer than load balancers keep an idle connection
DELIVERY_S = 5  # for answers to reach their clients once their loops have ended


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        config = read(sys.argv[1:] if arguments is None else arguments)
        keyring = Keyring.open(config)
        with listen(config.host, config.port) as listener:
            traces = trace_store(config)
            logs.configure(config.log_level, config.log_format)
            with asyncio.Runner(loop_factory=event_loop) as runner:
                return runner.run(serve(config, keyring, listener, traces))
    except (ConfigError, ManifestError, EngineError) as error:
        print(f"redraft serve: {error}", file=sys.stderr)
        return CANNOT_START


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, as with vLLM: a streamed token costs a third less."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def serve(
    config: ServerConfig,
    keyring: Keyring,
    listener: socket.socket,
    traces: TraceStore | None,
) -> int:
    stop = StopSignal(on_hangup=keyring.reload)
    began = time.monotonic()
    say(f"Redraft {__version__}: starting engine {config.engine!r}")
    building = asyncio.create_task(build.build(config, lambda line: say(f"  {line}")))
    await first_of(building, stop.requested)
    if not building.done():
        say("stopping before it was ready")
        building.cancel()
        await asyncio.wait({building})
        return 0
    built = building.result()
    try:
        admission, rates = Admission(config), RateLimits(config)
        service = Service(
            built.model,
            built.critics,
            admission,
            Metrics(names_clients=config.name_clients),
            traces,
            rates,
            others=built.others,
        )
        bounds = ConnectionBounds.of(config, descriptors.raise_limit())
        server = Server(build_app(config, service, keyring), bounds)
        garbage.leave_out_what_is_there()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await first_of(server.listening, serving)
        announce(config, built, listener, time.monotonic() - began)
        down = asyncio.create_task(given_up(config, built.model))
        watching = asyncio.create_task(descriptors.watch())
        await first_of(stop.requested, serving, down)
        status = int(down.done())
        down.cancel()
        watching.cancel()
        await end(server, service, config.grace_s)
        await serving
    finally:
        await built.close()
        if traces:
            traces.close()
    say("stopped: the engine could not be brought back" if status else "stopped")
    return status


async def given_up(config: ServerConfig, model: ServedModel) -> None:
    """Return when the engine cannot be brought back and the process should end for it."""
    if not config.exit_when_down or model.gave_up is None:
        await asyncio.get_running_loop().create_future()
        return
    await model.gave_up.wait()


async def end(server: Server, service: Service, grace_s: float) -> None:
    """Refuse new requests and wait for running ones, at most ``grace_s``."""
    if service.running:
        say(f"stopping: {service.running} running, at most {grace_s:g} s for them")
    grace_ends = time.monotonic() + grace_s
    await service.drain(grace_s)
    # Requests in direct mode have the rest of the grace time.
    left = max(DELIVERY_S, int(grace_ends - time.monotonic()))
    server.config.timeout_graceful_shutdown = left
    server.should_exit = True


async def first_of(*awaited: asyncio.Future[Any]) -> None:
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)


class StopSignal:
    """SIGINT and SIGTERM: the first requests a stop, a second SIGINT ends the process at once.
    SIGHUP: calls ``on_hangup``, unless the terminal is gone; then it requests a stop."""

    def __init__(self, on_hangup: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.requested: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._receive, number)
        self._on_hangup = on_hangup
        self._had_terminal = has_terminal()
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        if self._had_terminal and not has_terminal():
            self._receive(signal.SIGHUP)
        else:
            self._on_hangup()

    def _receive(self, number: signal.Signals) -> None:
        if not self.requested.done():
            self.requested.set_result(None)
        elif number == signal.SIGINT:
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(QUIT_AT_ONCE)


def has_terminal() -> bool:
    """Whether the standard input is one, and still there."""
    try:
        return os.isatty(0)
    except OSError:
        return False


class Server(uvicorn.Server):
    """uvicorn's server, with signals left to StopSignal and a future for when it listens."""

    def __init__(self, app: FastAPI, bounds: ConnectionBounds) -> None:
        # log_config: logs are configured already. lifespan: ``serve`` builds and closes engines.
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=IDLE_S,
            http=bounded(bounds),
            # More than Bounded lets pass: its refusal says what is wrong.
            h11_max_incomplete_event_size=bounds.max_header_bytes + 2**20,
        )
        super().__init__(config)
        self.listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set_result(None)


def trace_store(config: ServerConfig) -> TraceStore | None:
    try:
        return TraceStore(config.traces) if config.traces else None
    except OSError as error:
        raise ConfigError(f"cannot write traces to {config.traces}: {error.strerror}") from error


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens from now on, so that no other process can take the port."""
    with contextlib.ExitStack() as failed:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = failed.enter_context(socket.socket(family, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host} port {port}: {error.strerror}; stop what uses it, or "
                f"choose another with --host and --port"
            ) from error
        failed.pop_all()
    return listener


def announce(
    config: ServerConfig, built: build.Engines, listener: socket.socket, seconds: float
) -> None:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{host}:{port}{config.root_path}"
    model = built.model
    examples = model.manifest.evaluation.get("examples", ()) if model.manifest else ()
    prompt = next((example for example in examples if "'" not in example), TRY)
    say(
        f"{model.name} ({model.style}) is ready after {seconds:.1f} s\n\n"
        f"  page  {url}/\n"
        f"  try   curl {url}/v1/refine -H 'content-type: application/json' \\\n"
        f"          -d '{json.dumps({'prompt': prompt})}'\n"
    )


def say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # The reader of the output is gone; keep serving, and let later prints succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
