"""Redraft: an OpenAI-compatible server whose model checks its own work, and its trainer.

from redraft import AsyncRedraft, Redraft      the typed clients
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redraft.clients.client import AsyncRedraft, Redraft
    from redraft.clients.wire import (
        Event,
        Feedback,
        RedraftError,
        Refined,
        RefineOptions,
        SamplingOptions,
        Usage,
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncRedraft",
    "Event",
    "Feedback",
    "Redraft",
    "RedraftError",
    "RefineOptions",
    "Refined",
    "SamplingOptions",
    "Usage",
]

if not TYPE_CHECKING:  # with __getattr__ a type checker would accept any name

    def __getattr__(name: str) -> object:
        """Import the clients when they are first used: the processes of an engine import this
        package, too, and need no HTTP client."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = "client" if name in ("AsyncRedraft", "Redraft") else "wire"
        return getattr(import_module(f"redraft.clients.{module}"), name)
