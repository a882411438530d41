"""Runs the server: checks, binds its port, builds the engine, serves, drains. Run:

    python -m redraft.server --help
    python -m redraft.server --engine scripted

The port is taken before the engine is built, so that nobody waits for a model to load only to
hear that the port was not free. Requests that come meanwhile wait until it is ready.

Exit codes: 0 after SIGINT or SIGTERM, 2 when it cannot start (one line says why), 130 when a
second SIGINT asked not to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI

from redraft import __version__
from redraft.server import build, config
from redraft.server.admission import (
    Admission,
    Rates,
)
from redraft.server.api.app import build_app
from redraft.server.api.settings import ApiKey, ApiSettings
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.options import ConfigError
from redraft.server.refine.manifest import ManifestError
from redraft.server.service import Service
from redraft.server.telemetry import logs
from redraft.server.telemetry.metrics import Metrics
from redraft.server.telemetry.traces import TraceStore

CANNOT_START = 2
QUIT_AT_ONCE = 130
IDLE_S = 75  # longer than load balancers keep a connection they may use again
DELIVERY_S = 5  # for answers to reach their readers once their loops have ended


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        chosen = config.read(sys.argv[1:] if arguments is None else arguments)
        settings = api_settings(chosen)
        check_access(chosen, settings)
        with listen(chosen.host, chosen.port) as listener:
            traces = trace_store(chosen)
            logs.configure(chosen.log_level, chosen.log_format)
            with asyncio.Runner(loop_factory=event_loop) as runner:
                return runner.run(serve(chosen, settings, listener, traces))
    except (ConfigError, ManifestError, EngineError) as error:
        print(f"redraft serve: {error}", file=sys.stderr)
        return CANNOT_START


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, as it is with vLLM: a streamed token costs a third less."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def serve(
    chosen: ServerConfig,
    settings: ApiSettings,
    listener: socket.socket,
    traces: TraceStore | None,
) -> int:
    stop = StopSignal()
    began = time.monotonic()
    say(f"Redraft {__version__}: starting engine {chosen.engine!r}")
    building = asyncio.create_task(build.build(chosen, lambda line: say(f"  {line}")))
    await first_of(building, stop.asked)
    if not building.done():
        say("stopping before it was ready")
        building.cancel()
        await asyncio.wait({building})
        return 0
    built = building.result()
    try:
        admission, rates = Admission(chosen), Rates(chosen)
        service = Service(built.model, built.critics, admission, Metrics(), traces, rates)
        server = Server(build_app(settings, service))
        set_aside()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await first_of(server.listening, serving)
        announce(chosen, built, listener, time.monotonic() - began)
        await first_of(stop.asked, serving)
        await end(server, service, chosen.grace_s)
        await serving
    finally:
        await built.close()
        if traces:
            traces.close()
    say("stopped")
    return 0


def set_aside() -> None:
    """Whatever is there by now stays, so the garbage collector need not go through it again: with
    vLLM imported that is half a second, in which every stream stands still."""
    gc.collect()
    gc.freeze()


async def end(server: Server, service: Service, grace_s: float) -> None:
    """Let what runs come to an end, within the grace; take nothing new meanwhile."""
    if service.running:
        say(f"stopping: {service.running} running, at most {grace_s:g} s for them")
    grace_ends = time.monotonic() + grace_s
    await service.drain(grace_s)
    # What is not a loop (direct mode) has the rest of the grace.
    left = max(DELIVERY_S, int(grace_ends - time.monotonic()))
    server.config.timeout_graceful_shutdown = left
    server.should_exit = True


async def first_of(*awaited: asyncio.Future[Any]) -> None:
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)


class StopSignal:
    """SIGINT and SIGTERM: the first asks to stop, a second SIGINT does not wait any longer."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.asked: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: signal.Signals) -> None:
        if not self.asked.done():
            self.asked.set_result(None)
        elif number == signal.SIGINT:
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(QUIT_AT_ONCE)


class Server(uvicorn.Server):
    """Leaves signals to StopSignal, and tells when it listens."""

    def __init__(self, app: FastAPI) -> None:
        # log_config: ours. lifespan: the app has none; what it uses is built and closed here.
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=IDLE_S,
        )
        super().__init__(config)
        self.listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set_result(None)


def trace_store(chosen: ServerConfig) -> TraceStore | None:
    try:
        return TraceStore(chosen.traces) if chosen.traces else None
    except OSError as error:
        raise ConfigError(f"cannot write traces to {chosen.traces}: {error.strerror}") from error


def api_settings(chosen: ServerConfig) -> ApiSettings:
    keys = config.read_api_keys(chosen)
    return ApiSettings(
        max_iterations=chosen.max_iterations,
        good_enough=chosen.good_enough,
        keep=chosen.keep,
        default_max_tokens=chosen.default_max_tokens,
        max_iterations_cap=chosen.max_iterations_cap,
        max_drafts_cap=chosen.max_drafts_cap,
        max_deadline_s=chosen.max_deadline_s,
        max_messages=chosen.max_messages,
        max_body_bytes=int(chosen.max_body_mib * 2**20),
        body_timeout_s=chosen.body_timeout_s,
        reasoning_field=chosen.reasoning_field,
        keep_alive_s=chosen.keep_alive_s,
        stall_s=chosen.stall_s,
        api_keys=tuple(ApiKey.of(client, key) for key, client in keys.items()),
        cors_origins=chosen.cors_origins,
        root_path=chosen.root_path,
    )


def check_access(chosen: ServerConfig, settings: ApiSettings) -> None:
    if settings.api_keys or chosen.open_access or is_loopback(chosen.host):
        return
    raise ConfigError(
        f"{chosen.host} can be reached by others and there are no API keys; give them with "
        f"--api-keys-file or REDRAFT_API_KEYS, or serve everyone with --open-access"
    )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    chosen: ServerConfig, built: build.Engines, listener: socket.socket, seconds: float
) -> None:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{host}:{port}{chosen.root_path}"
    model = built.model
    say(
        f"{model.engine.model} ({model.style}) is ready after {seconds:.1f} s\n\n"
        f"  page  {url}/\n"
        f"  try   curl {url}/v1/refine -H 'content-type: application/json' \\\n"
        f"""          -d '{{"prompt": "What is the total of 25, 8, 34, 22?"}}'\n"""
    )


def say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # Nobody reads along any more. The server lives on; so must whatever Python still holds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
