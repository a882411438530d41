"""How a command reads its options, and the options that many commands share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from redraft.benchmarks.load.endpoint import KEY_VARIABLE, TIMEOUT_S, Endpoint
from redraft.server.options import option
from redraft.server.options import read as read_options

T = TypeVar("T")

LOCAL_URL = "http://127.0.0.1:8000/v1"
CALLS = "calls"  # the group of options in --help


def read(cls: type[T], command: str, arguments: Sequence[str], about: str | None) -> T:
    """The options of ``redraft bench COMMAND``; ``about`` heads its ``--help``."""
    prefix = re.sub(r"\W", "_", f"redraft_bench_{command}_").upper()
    program = f"redraft bench {command}"
    return read_options(cls, program, arguments, prefix=prefix, about=about or "")


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """Concurrency, patience and credentials of calls to a server."""

    concurrency: int = option("requests under way at once", 8, CALLS, least=1)
    timeout_s: float = option("longest wait for an answer", TIMEOUT_S, CALLS)
    retries: int = option("tries after a first that failed", 4, CALLS, least=0)
    key_variable: str = option("environment variable with the API key", KEY_VARIABLE, CALLS)

    def endpoint(self, url: str, model: str) -> Endpoint:
        return Endpoint(url, model, self.key_variable, self.timeout_s, self.retries)


@dataclass(frozen=True, kw_only=True)
class ServerOptions(CallOptions):
    """A running server and the name of the model on it."""

    url: str = option("of the server, /v1 included", LOCAL_URL)
    model: str = option("its name on the server")
