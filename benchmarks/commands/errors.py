"""Why a command ends without a result; the table of commands prints it in one line."""

from __future__ import annotations


class MeasurementFailed(Exception):
    """What was to be measured could not be; the message says why and what to do."""
