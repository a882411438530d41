"""An operator's own kinds of checks, loaded as ``--checks MODULE:checks``."""

from __future__ import annotations

from redraft.server.refine.checks import Kind
from redraft.server.refine.checks.check import Arguments, Verified, failed, passed
from redraft.server.refine.checks.splitting import Text


def checks() -> list[Kind]:
    return [
        Kind("polite", lambda _: "says please", _polite, {}, "Please sit down.", "Sit down."),
        Kind("broken", lambda _: "raises", _broken, {}, "", ""),
    ]


def taken() -> list[Kind]:
    return [Kind("words", lambda _: "words", _polite, {}, "", "")]


def twice() -> list[Kind]:
    return [*checks(), *checks()[:1]]


def failing() -> list[Kind]:
    raise KeyError("no such word")


def other() -> list[str]:
    return ["words"]


def _polite(response: Text, _: Arguments) -> Verified:
    if "please" in response.lowered:
        return passed("found please")
    return failed("no please", "Say please.")


def _broken(response: Text, _: Arguments) -> Verified:
    raise RuntimeError(response.raw)
