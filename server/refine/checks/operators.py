"""An operator's own kinds of checks: ``redraft serve --checks module:function``.

The function returns the kinds; they are loaded when the server starts, never by a request.

    def checks() -> list[Kind]:
        return [Kind("polite", says=..., verify=..., example={}, right="Please.", wrong="Now!")]
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed
from redraft.server.refine.checks.splitting import Text
from redraft.server.refine.checks.table import KINDS

log = logging.getLogger("redraft")


def load(name: str) -> tuple[str, ...]:
    """Add the kinds of ``module:function`` to the table; returns their names. ValueError, and
    nothing is added, where they cannot be had, or a name is taken."""
    kinds = _kinds(name)
    for kind in kinds:
        if not isinstance(kind, Kind):
            raise ValueError(f"{name} gives {kind!r}, expected a Kind of redraft's checks")
        if kind.name in KINDS:
            raise ValueError(f"{name} gives a check {kind.name!r}, and there is one of that name")
    names = [kind.name for kind in kinds]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{name} gives two checks of one name: {', '.join(twice)}")
    KINDS.update({kind.name: replace(kind, verify=_guarded(kind)) for kind in kinds})
    return tuple(names)


def _kinds(name: str) -> list[Kind]:
    module, _, function = name.partition(":")
    if not module or not function:
        raise ValueError(f"checks is {name!r}, expected module:function, such as my_checks:all")
    try:
        function_of_kinds = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ValueError(f"checks {name!r} cannot be imported: {error}") from error
    try:
        kinds = function_of_kinds()
    except Exception as error:  # any: the code is the operator's
        raise ValueError(f"{name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(kinds, Iterable):
        raise ValueError(f"{name} gives {kinds!r}, expected a list of Kind")
    return list(kinds)


def _guarded(kind: Kind) -> Callable[[Text, Arguments], Verified]:
    """Code that is not ours may raise; the loop goes on."""

    def verify(text: Text, arguments: Arguments) -> Verified:
        try:
            return kind.verify(text, arguments)
        except Exception as error:
            log.exception("the check %r failed", kind.name)
            return failed(f"the check itself failed ({type(error).__name__})", "Try once more.")

    return verify
