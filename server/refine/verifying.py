"""Verifying: runs the checks of a request on each response of its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

from redraft.server.refine.checks import Check, Finding, verify_each
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Instruction, ResponseText, StopReason

AFTERWARDS_S = 0.2  # for a response that an interrupt has cut short; most take milliseconds


class Verifying:
    """Of one instruction. Without checks it leaves every response as it is, as it does when it is
    interrupted: ``stopped`` has the reason then."""

    def __init__(
        self, checks: Sequence[Check], instruction: Instruction, interrupt: Interrupt
    ) -> None:
        self._checks, self._interrupt = checks, interrupt
        self._instruction = instruction.messages[-1].content if instruction.messages else ""
        self.stopped: StopReason | None = None

    async def verified(self, response: ResponseText) -> ResponseText:
        """The response with what the checks find in it. In a thread: other requests need not wait
        for a long text."""
        if not self._checks:
            return response
        ended = Event()
        work = asyncio.ensure_future(asyncio.to_thread(self._findings, response.text, ended))
        try:
            try:
                findings = await self._interrupt.wait(asyncio.shield(work))
            except Stop as stop:
                await asyncio.wait({work}, timeout=AFTERWARDS_S)
                if not work.done():
                    self.stopped = stop.reason
                    return response
                findings = await work
        finally:  # a thread cannot be cancelled
            ended.set()
        return replace(response, findings=findings)

    def _findings(self, response: str, ended: Event) -> tuple[Finding, ...]:
        findings = []
        for finding in verify_each(self._checks, response, self._instruction):
            findings.append(finding)
            if ended.is_set():  # nobody waits for the others
                break
        return tuple(findings)
