"""Why a command ends without a result; the table of commands prints it in one line."""

from __future__ import annotations


class MeasurementFailed(Exception):
    """The command has no result; the message says why and what to do."""
