"""vLLM's errors, as ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from redraft.server.engine.base import EngineRefused, EngineUnavailable

NOTHING_FOLLOWS = "no token can follow under this constraint; is it endless or empty?"


class vllm_errors:
    """A context manager that turns vLLM's errors into EngineErrors."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        failed = isinstance(error, EngineGenerateError)
        cause = (error.__cause__ or error) if error is not None and failed else error
        if isinstance(cause, EngineDeadError):
            raise EngineUnavailable("the engine's process has died") from error
        if isinstance(cause, GracefulHTTPError):
            raise EngineUnavailable(str(cause)) from error
        if isinstance(cause, VLLMClientError | ValueError | TypeError | OverflowError):
            raise EngineRefused(_short(str(cause))) from error
        if failed:
            raise EngineUnavailable(f"the engine failed: {_short(repr(cause))}") from error


async def next_output(outputs: AsyncGenerator[Any, None]) -> Any:
    """The next of vLLM's outputs for one completion, the last of which has a finish reason."""
    with vllm_errors():
        output = await anext(outputs, None)
    if output is None:
        raise EngineUnavailable("the engine ended a completion without a finish reason")
    return output


def _short(message: str) -> str:
    return message if len(message) <= 500 else f"{message[:480]}... (shortened)"
