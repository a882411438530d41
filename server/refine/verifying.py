"""Verifying: runs the checks of a request on each response of its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from redraft.server.refine.checks import Check, verify_all
from redraft.server.refine.trace import Instruction, ResponseText


class Verifying:
    """Of one instruction. Without checks it leaves every response as it is."""

    def __init__(self, checks: Sequence[Check], instruction: Instruction) -> None:
        self._checks = checks
        self._instruction = instruction.messages[-1].content if instruction.messages else ""

    async def verified(self, response: ResponseText) -> ResponseText:
        """The response with what the checks find in it. In a thread: other requests need not wait
        for a long text."""
        if not self._checks:
            return response
        findings = await asyncio.to_thread(
            verify_all, self._checks, response.text, self._instruction
        )
        return replace(response, findings=findings)
