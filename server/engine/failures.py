"""What an engine raises: EngineError and its kinds, nothing else."""

from __future__ import annotations


class EngineError(Exception):
    """An engine could not serve a call; the message says what to do. ``detail`` has the words of
    another server: for the log, and for clients only where the operator says so."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(f"{message}: {detail}" if detail else message)
        self.message, self.detail = message, detail
        self.tells_all = not detail

    @property
    def told(self) -> str:
        """What a client is told."""
        return str(self) if self.tells_all else f"{self.message}; the server's log has the reason"


class EngineUnavailable(EngineError):
    """The engine is dead, unreachable, overloaded or shutting down; a later call may succeed."""


class PromptTooLong(EngineError):
    """The prompt does not fit the model's window."""


class EngineRefused(EngineError):
    """The engine cannot serve this call: an invalid grammar, an unsupported parameter."""
