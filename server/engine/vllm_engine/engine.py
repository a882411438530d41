"""VllmEngine: vLLM in a child process, restarted when it dies.

Metrics: vLLM keeps its own (``vllm:...``) in prometheus_client's default registry, in this
process; ``generate_latest()`` on that registry shows them with ours.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from redraft.server.engine import garbage
from redraft.server.engine.base import (
    PLAIN,
    Call,
    Chat,
    ChatOptions,
    Chunk,
    EngineError,
    EngineUnavailable,
    Message,
    Prompt,
    Sampling,
)
from redraft.server.engine.vllm_engine.settings import VllmSettings

if TYPE_CHECKING:
    from redraft.server.engine.vllm_engine.core import Core

RESTART_WINDOW_S = 600.0  # only restarts within it count towards max_restarts
LONGEST_WAIT_S = 300.0  # before a restart; less than the window, or the waits would start anew
Report = Callable[[str], None]


class VllmEngine:
    """An Engine whose model runs in vLLM."""

    has_tokens = True

    def __init__(self, settings: VllmSettings, core: Core, report: Report) -> None:
        """Use ``start``."""
        self.name = settings.name
        self.model = settings.model_name
        self.window = core.window
        self.constrains = core.constrains
        self.thinks, self.calls_tools = core.chats.thinks, core.chats.calls_tools
        # Guesses are taken from the prompt of a phase, so each needs one.
        self.writes_on = not settings.speculates
        self.predicts = core.predictions.are_used
        self._settings = settings
        self._report = report
        self._core: Core | None = core
        self._down = ""  # the reason why there is no core
        self.gave_up = asyncio.Event()  # restarting at once has failed; cleared when it is back
        self._supervisor = asyncio.create_task(self._supervise())

    @classmethod
    async def start(cls, settings: VllmSettings, on_progress: Report = print) -> VllmEngine:
        """Build the engine without blocking the event loop; ``on_progress`` gets a line for each
        long step. Raises EngineError with one line that says what to do."""
        began = time.monotonic()
        core = await _build(settings, on_progress)
        on_progress(
            f"ready after {time.monotonic() - began:.1f} s: window {core.window} tokens, "
            f"KV cache {core.kv_tokens} tokens"
        )
        return cls(settings, core, on_progress)

    def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        return self._living().generate(prompt, sampling, call)

    async def encode(self, text: str) -> tuple[int, ...]:
        return tuple(await self._living().encode(text))

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        return tuple(await self._living().ids_of(Chat(messages, options)))

    async def check(self) -> None:
        self._living()

    async def close(self) -> None:
        if self._core is None and self._down == "closed":
            return
        self._supervisor.cancel()
        core, self._core, self._down = self._core, None, "closed"
        await asyncio.wait({self._supervisor})
        if core is not None:
            await core.close()

    def num_unfinished(self) -> int:
        """The number of completions waiting or running."""
        return 0 if self._core is None else self._core.num_unfinished()

    async def direct(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application of direct mode; the body must name ``model``. Raises
        EngineUnavailable before it answers when there is no engine."""
        await self._living().direct(scope, receive, send)

    def _living(self) -> Core:
        core = self._core
        if core is None:
            raise EngineUnavailable(f"engine {self.name!r} is {self._down}")
        if not core.alive:
            raise EngineUnavailable(f"engine {self.name!r} has just died and is being restarted")
        return core

    async def _supervise(self) -> None:
        """Replace the engine when its process dies or hangs: ``max_restarts`` times at once, then
        after longer and longer waits."""
        restarts: deque[float] = deque()
        while self._core is not None:
            problem = await self._end_of(self._core)
            dead, self._core, self._down = self._core, None, f"being restarted: {problem}"
            self._report(f"engine {self.name!r}: {problem}")
            await dead.close()
            del dead
            while self._core is None:
                await self._wait_to_restart(restarts)
                await self._restart()

    async def _end_of(self, core: Core) -> str:
        """Return, with what happened, when the engine's process has died or was killed because it
        hung."""
        dying = asyncio.create_task(core.died())
        ends = {dying}
        if stall_s := self._settings.engine_stall_s:
            ends.add(asyncio.create_task(core.stalled(stall_s)))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if dying.done():
                return "its process died"
            core.kill()
            await dying
            return f"its process gave no output for {stall_s:g} s and was ended"
        finally:
            for task in ends:
                task.cancel()

    async def _wait_to_restart(self, restarts: deque[float]) -> None:
        now = time.monotonic()
        while restarts and now - restarts[0] > RESTART_WINDOW_S:
            restarts.popleft()
        restarts.append(now)
        late = len(restarts) - self._settings.max_restarts
        if late <= 0:
            return
        wait_s = min(self._settings.first_wait_s * 2.0 ** (late - 1), LONGEST_WAIT_S)
        self._down = (
            f"down: its process ended {len(restarts)} times in {RESTART_WINDOW_S:g} s; it is "
            f"started again in {wait_s:g} s"
        )
        self.gave_up.set()
        self._report(f"engine {self.name!r} is {self._down}")
        await asyncio.sleep(wait_s)

    async def _restart(self) -> None:
        from redraft.server.engine.vllm_engine import leftovers

        try:
            self._core = await _build(self._settings, self._report)
        except EngineError as error:
            self._report(f"engine {self.name!r} did not restart: {error}")
        else:
            leftovers.forget()
            # The engine before, its memory and sockets: its objects refer to each other.
            garbage.collect_what_was_left_out()
            garbage.give_back()
            self.gave_up.clear()
            self._report(f"engine {self.name!r} is back")


async def _build(settings: VllmSettings, report: Report) -> Core:
    """A core that has generated its first token."""
    from redraft.server.engine.vllm_engine import start

    loop = asyncio.get_running_loop()

    def report_from_thread(line: str) -> None:
        loop.call_soon_threadsafe(report, line)

    building = asyncio.create_task(asyncio.to_thread(start.build, settings, report_from_thread))
    try:
        core = await asyncio.shield(building)
    except asyncio.CancelledError:
        # The thread cannot be interrupted; end the process it starts when it is done.
        await asyncio.wait({building})
        if not building.exception():
            await building.result().close()
        raise
    try:
        with start.in_one_line(f"vLLM cannot serve {settings.model}"):
            await core.open()
    except BaseException:  # cancelled or failed: end its process either way
        await core.close()
        raise
    if settings.warm_up:
        core.start_warming()
    return core
