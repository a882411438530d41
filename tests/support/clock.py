"""Time that passes when a test says so: deadlines without waiting, on machines of any speed.

async def gate(call, position):
    let_pass(61)                         every timer of this event loop up to then is due now
    await asyncio.Event().wait()
"""

from __future__ import annotations

import asyncio


def let_pass(seconds: float) -> None:
    """Set the clock of the running event loop forward."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
