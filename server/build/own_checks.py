"""The operator's own kinds of checks: ``--checks module:function``."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError
from redraft.server.refine.checks import operators
from redraft.server.refine.policy import FeedbackBy


def load(config: ServerConfig, progress: Callable[[str], None]) -> None:
    """Add them to the table; and no critic may have a name that stands for no critic."""
    if taken := {critic.name for critic in config.critics} & set(get_args(FeedbackBy)):
        raise ConfigError(
            f"a critic has the name {min(taken)!r}, which means something else in feedback_by; "
            f"give it another"
        )
    for name in config.checks:
        try:
            progress(f"checks of {name}: {', '.join(operators.load(name))}")
        except ValueError as error:
            raise ConfigError(f"--checks: {error}") from error
