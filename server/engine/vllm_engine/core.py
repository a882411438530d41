"""One vLLM engine from its start to its end: completions, direct mode, and whether it is alive.

A core that has died stays dead; ``engine`` builds another.
"""

from __future__ import annotations

import asyncio
import zlib
from argparse import Namespace
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from typing import Any

from vllm import SamplingParams
from vllm.renderers.chat_utils import load_chat_template
from vllm.v1.engine.exceptions import EngineDeadError

from redraft.server.engine.base import (
    Call,
    Chat,
    Chunk,
    Constrains,
    EngineError,
    EngineRefused,
    Prompt,
    Sampling,
    Usage,
)
from redraft.server.engine.forms import held
from redraft.server.engine.overflow import too_long
from redraft.server.engine.vllm_engine import progress
from redraft.server.engine.vllm_engine.chats import Chats
from redraft.server.engine.vllm_engine.direct import SpelledChats, build_direct
from redraft.server.engine.vllm_engine.errors import next_output, vllm_errors
from redraft.server.engine.vllm_engine.marked import Begun, marked, past_marks
from redraft.server.engine.vllm_engine.predictions import Predictions
from redraft.server.engine.vllm_engine.prompts import Prompts
from redraft.server.engine.vllm_engine.sampling import finish_reason, sampling_params
from redraft.server.engine.vllm_engine.templates import kept_apart
from redraft.server.engine.vllm_engine.token_text import TokenText
from redraft.server.engine.vllm_engine.warm_up import warm_up

LONG_TEXT = 10_000  # characters; longer texts are encoded in a thread, off the event loop
CLOSING_S = 5.0
GRAMMAR_BACKENDS = ("xgrammar", "guidance", "auto")  # of structured outputs; others take none
UNVERIFIED = (
    "min_p and logit_bias cannot be had from a server that speculates (--speculate): vLLM does not "
    "verify guesses by them; leave them out"
)


class Core:
    """One AsyncLLM."""

    def __init__(
        self,
        llm: Any,
        args: Namespace,
        progress: progress.Progress,
        processes: set[BaseProcess],
        speculates: bool = False,
    ) -> None:
        """``open`` it before use."""
        self._llm = llm
        self._progress, self._processes = progress, processes
        self._args = args
        self._speculates = speculates
        self._defaults = llm.model_config.get_diff_sampling_param()
        self._by_priority = llm.vllm_config.scheduler_config.policy == "priority"
        self._replicas: int = llm.vllm_config.parallel_config.data_parallel_size
        self._traced = llm.observability_config.otlp_traces_endpoint is not None
        tokenizer, given = llm.get_tokenizer(), load_chat_template(args.chat_template)
        self.prompts = Prompts(tokenizer, given or kept_apart(tokenizer, args.model))
        self.window: int = llm.model_config.max_model_len
        self.predictions = Predictions(self.window, are_used=speculates)
        self.direct: Any = None
        self._adapters: Mapping[str, Any] = {}  # vLLM's requests for them, by name
        form = llm.vllm_config.structured_outputs_config.backend
        self.constrains: Constrains | None = "grammar" if form in GRAMMAR_BACKENDS else None
        self._warming: asyncio.Task[None] | None = None
        self.chats: Chats  # from ``open`` on

    async def open(self) -> None:
        """Show the output of its process, generate one token, and build direct mode."""
        await self._llm.collective_rpc("show_output")
        await self._llm.collective_rpc("quicken")
        if self._speculates:
            if self._defaults.get("min_p"):
                raise EngineError(f"its generation_config.json sets min_p; {UNVERIFIED}")
            told = (self.predictions.name, self._llm.get_tokenizer().eos_token_id)
            await self._llm.collective_rpc("speculate", args=told)
        first = SamplingParams(max_tokens=1, temperature=0.0, detokenize=False)
        prompt = {"type": "token", "prompt_token_ids": [0]}
        with vllm_errors():
            async for _ in self._llm.generate(prompt, first, "first"):
                pass
        app = await build_direct(self._llm, self._args)
        self.direct = SpelledChats(app, self.prompts, self.predictions, self.encode)
        self._adapters = app.state.openai_serving_models.lora_requests
        serving = app.state.openai_serving_chat
        thinking = self._llm.vllm_config.reasoning_config
        budgets = thinking is not None and thinking.enabled
        self.chats = Chats(serving, self._args, self.prompts, budgets, self.predictions)

    def start_warming(self) -> None:
        """Begin the warm-up, and do not wait for it."""

        async def warm() -> None:
            known = {"speculates": self._speculates, "by_priority": self._by_priority}
            with suppress(EngineError), vllm_errors():
                await warm_up(self._llm, **known)

        self._warming = asyncio.create_task(warm())

    @property
    def warming(self) -> bool:
        return self._warming is not None and not self._warming.done()

    @property
    def alive(self) -> bool:
        return not self._llm.errored

    @property
    def kv_tokens(self) -> int:
        cache = self._llm.vllm_config.cache_config
        return int(cache.num_gpu_blocks or 0) * int(cache.block_size)

    def num_unfinished(self) -> int:
        return int(self._llm.get_num_unfinished_requests())

    async def died(self) -> None:
        """Return when the engine's process has died."""
        await asyncio.wait({self._llm.output_handler})

    async def stalled(self, stall_s: float) -> None:
        """Return when completions have run for ``stall_s`` without any output."""
        await self._progress.stalled(self, stall_s)

    def kill(self) -> None:
        """End the engine's process at once, also one that is stopped; ``died`` returns then."""
        progress.kill(self._processes)

    def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        sampling = held(sampling, self.constrains)
        if sampling.constraint in sampling.forms:
            self._llm.trial.trust(sampling.constraint)
        if isinstance(prompt, Chat) and self.chats.take(prompt, sampling):
            return self._chat(prompt, sampling, call)
        if sampling.marks and not isinstance(prompt, Chat):
            ids, tokenizer = list(prompt.ids), self.prompts.tokenizer
            return marked(lambda: self._begin(ids, sampling, call), ids, sampling.marks, tokenizer)
        return self._completion(prompt, sampling, call)

    async def _chat(
        self, chat: Chat, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        if self._speculates and (sampling.min_p or sampling.logit_bias):
            raise EngineRefused(UNVERIFIED)
        self.prompts.check_chat(chat.messages, self.window)
        most = min(sampling.max_tokens or self.window, self.window)  # vLLM takes what fits
        sampling = replace(sampling, max_tokens=most)
        headers = {}
        if (rank := self._replica(call)) is not None:
            headers["X-data-parallel-rank"] = str(rank)
        if self._traced and call.traceparent:
            headers["traceparent"] = call.traceparent
        call = call if self._by_priority else replace(call, priority=0)
        try:
            async with aclosing(self.chats.generate(chat, sampling, call, headers)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except EngineRefused:  # vLLM does not say by how much a chat is too long
            if not chat.has_media:
                self._room(await self.ids_of(chat))
            raise

    def _room(self, ids: list[int]) -> int:
        """The tokens of the window that a prompt leaves."""
        if len(ids) >= self.window:
            raise too_long(self.window, len(ids))
        return self.window - len(ids)

    async def _completion(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        ids = await self.ids_of(prompt)
        room = self._room(ids)
        with vllm_errors():
            params = sampling_params(sampling, self._defaults, room)
            if self._speculates and (params.min_p or params.logit_bias):
                raise EngineRefused(UNVERIFIED)
            text = TokenText(self.prompts.tokenizer, ids)
        generated = stopped_at = 0
        async with aclosing(self._outputs(ids, params, call)) as outputs:
            while True:
                output = await next_output(outputs)
                part, cached = output.outputs[0], output.num_cached_tokens or 0
                generated += len(part.token_ids)
                stopped_at += len(part.text)
                if reason := part.finish_reason:
                    break
                text.add(part.token_ids)
                logprobs = self.chats.logprobs(part.token_ids, part, sampling.logprobs)
                piece, piece_ids = text.take(stopped_at if params.stop else None)
                if piece or logprobs:
                    usage = Usage(len(ids), generated, cached, 1)
                    yield Chunk(piece, piece_ids, usage=usage, logprobs=logprobs)
        by_string = reason == "stop" and isinstance(part.stop_reason, str)
        by_token = reason == "stop" and not by_string
        last = part.token_ids[:-1] if by_token else part.token_ids
        text.add(last)
        logprobs = self.chats.logprobs(last, part, sampling.logprobs)
        piece, piece_ids = text.cut(stopped_at, self.prompts.encode) if by_string else text.take()
        usage = Usage(len(ids), generated, cached, 1)
        ended = finish_reason(reason, params)
        yield Chunk(piece, piece_ids, ended, usage, logprobs=logprobs)

    def _begin(self, ids: list[int], sampling: Sampling, call: Call) -> Begun:
        params = past_marks(sampling, self._defaults, self._room(ids), self._llm)
        return self._outputs(ids, params, call), params

    def _outputs(
        self, ids: list[int], params: SamplingParams, call: Call
    ) -> AsyncGenerator[Any, None]:
        """vLLM's outputs for one completion."""
        params.extra_args = self.predictions.arguments(call.prediction) or None
        outputs: AsyncGenerator[Any, None] = self._llm.generate(
            {"type": "token", "prompt_token_ids": ids},
            params,
            call.request_id,
            lora_request=self._adapter(call.adapter),
            priority=call.priority if self._by_priority else 0,
            data_parallel_rank=self._replica(call),
            # Tokens are continued with text: a constraint would wait for the end of a thought.
            **({"reasoning_ended": True} if self.chats.thinks else {}),
            trace_headers=(
                {"traceparent": call.traceparent} if self._traced and call.traceparent else None
            ),
        )
        return outputs

    def _adapter(self, name: str | None) -> Any:
        """vLLM's request for one adapter; None is the base."""
        if name is None:
            return None
        if name not in self._adapters:
            known = ", ".join(self._adapters) or "none"
            raise EngineRefused(f"there is no adapter {name!r}; vLLM was started with {known}")
        return self._adapters[name]

    def _replica(self, call: Call) -> int | None:
        """One replica runs all phases of a loop, because only its cache has the tokens they
        share."""
        if self._replicas == 1 or not call.session:
            return None
        return zlib.crc32(call.session.encode()) % self._replicas

    async def ids_of(self, prompt: Prompt) -> list[int]:
        if not isinstance(prompt, Chat):
            return list(prompt.ids)
        options = self.chats.as_rendered(prompt.options)
        encode, messages = self.prompts.encode_chat, prompt.messages
        if self.prompts.check_chat(messages, self.window) < LONG_TEXT:
            return encode(messages, options)
        return await asyncio.to_thread(encode, messages, options)

    async def encode(self, text: str) -> list[int]:
        self.prompts.check_length(len(text), self.window)
        if len(text) < LONG_TEXT:
            return self.prompts.encode(text)
        return await asyncio.to_thread(self.prompts.encode, text)

    async def close(self) -> None:
        """End running completions, then the engine's process."""
        try:
            if self._warming is not None:
                self._warming.cancel()
            if self.alive:
                await self._end_completions()
        finally:
            await asyncio.to_thread(self._llm.shutdown, timeout=0)
            # Its __del__ shuts down again, when the interpreter may be half torn down.
            self._llm.shutdown = lambda timeout=None: None

    async def _end_completions(self) -> None:
        with suppress(EngineDeadError, TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._llm.pause_generation(mode="abort", clear_cache=False)
                while self.num_unfinished():  # noqa: ASYNC110  vLLM has no event for it
                    await asyncio.sleep(0.002)
        if handler := self._llm.output_handler:  # there is none before the first completion
            handler.cancel()  # or it would report the end of the process as a crash
            await asyncio.wait({handler})
        self._llm.output_processor.propagate_error(EngineDeadError())  # to calls still waiting
