"""Tries whether a form can be held to in a stated time, in a process that is ended if it cannot.

xgrammar compiles some small grammars for minutes and follows others for ever ("a ::= b b",
"b ::= c c", ...), and cannot be interrupted: in vLLM's process every later form waits behind the
one, and every completion behind the other. A form is tried, with some tokens, the first time it is
asked for; what the server's own requests ask for is trusted.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from functools import cached_property
from typing import Any

from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.structured_output.backend_types import StructuredOutputOptions
from vllm.v1.structured_output.backend_xgrammar import XgrammarBackend, validate_xgrammar_grammar
from vllm.v1.structured_output.request import get_structured_output_key

from redraft.server.engine.base import Constraint
from redraft.server.engine.chat_body import constraint_fields
from redraft.server.engine.vllm_engine import forking

READ_S = 0.25  # of a processor's time; vLLM reads a form on the path of all requests
LONGEST_S = 60.0  # for reading and compiling, however busy the processors are
TRIED_TOKENS = 256
REMEMBERED = 1024  # forms

Form = tuple[StructuredOutputOptions, str]


class TryingLLM(AsyncLLM):  # type: ignore[misc, unused-ignore]
    """vLLM's engine, which takes no completion in before its form was tried."""

    @cached_property
    def trial(self) -> FormTrial:
        return FormTrial(self.vllm_config, self.get_tokenizer())

    async def add_request(
        self, request_id: str, prompt: Any, params: Any, *more: Any, **named: Any
    ) -> Any:
        if isinstance(params, SamplingParams) and params.structured_outputs is not None:
            await self.trial.check(params.structured_outputs)
        return await super().add_request(request_id, prompt, params, *more, **named)


class FormTrial:
    def __init__(self, config: Any, tokenizer: Any) -> None:
        self._config, self._tokenizer = config, tokenizer
        self.compile_s = 0.0  # of a processor's time; 0: no trial
        self._usable: dict[Form, bool] = {}  # oldest first
        self._one = asyncio.Lock()

    def trust(self, constraint: Constraint) -> None:
        """No trial for this one."""
        fields = constraint_fields(constraint, vllm=True)["structured_outputs"]
        self._remember(get_structured_output_key(StructuredOutputsParams(**fields)), True)

    async def check(self, outputs: StructuredOutputsParams) -> None:
        """Raise VLLMValidationError for a form that takes too long to compile."""
        form = get_structured_output_key(outputs)
        if not self._tries or form[0] == StructuredOutputOptions.JSON_OBJECT:
            return
        if form not in self._usable:
            async with self._one:
                if form not in self._usable:
                    self._remember(form, await asyncio.to_thread(self._try, outputs))
        if not self._usable.get(form, True):
            raise VLLMValidationError(
                "the form of the answer takes too long to compile or to follow; give it fewer "
                "alternatives, patterns, repetitions and rules"
            )

    def _remember(self, form: Form, usable: bool) -> None:
        self._usable[form] = self._usable.pop(form, usable)
        if len(self._usable) > REMEMBERED:
            del self._usable[next(iter(self._usable))]

    @property
    def _tries(self) -> bool:
        used = self._config.structured_outputs_config.backend
        return self.compile_s > 0 and used in ("xgrammar", "auto") and sys.platform == "linux"

    @cached_property
    def _backend(self) -> XgrammarBackend:
        size = self._config.model_config.get_vocab_size()
        return XgrammarBackend(self._config, tokenizer=self._tokenizer, vocab_size=size)

    def _try(self, outputs: StructuredOutputsParams) -> bool:
        """Whether it can be used in time, or is refused in time: the engine says why then."""
        work = self._backend, outputs, self.compile_s
        child = multiprocessing.get_context("fork").Process(target=_use, args=work)
        with forking.deaf_children():
            child.start()
        child.join(LONGEST_S)
        if child.exitcode is None:
            child.kill()
            child.join()
        return child.exitcode == 0


def _use(backend: XgrammarBackend, outputs: StructuredOutputsParams, compile_s: float) -> None:
    forking.leave_server()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with suppress(Exception):  # any: what is wrong with a form is the engine's to say
        signal.setitimer(signal.ITIMER_PROF, READ_S)
        validate_xgrammar_grammar(SamplingParams(structured_outputs=outputs))
        signal.setitimer(signal.ITIMER_PROF, compile_s)
        _follow(backend, backend.compile_grammar(*get_structured_output_key(outputs)))
    os._exit(0)


def _follow(backend: XgrammarBackend, form: Any) -> None:
    """As a completion would that never ends by itself, with the first token that may come next."""
    special = set(backend.tokenizer.all_special_ids)
    bitmask = backend.allocate_token_bitmask(1)
    for _ in range(TRIED_TOKENS):
        form.fill_bitmask(bitmask, 0)
        words = enumerate(bitmask[0].tolist())  # of 32 bits
        allowed = (32 * at + bit for at, word in words for bit in range(32) if word >> bit & 1)
        token = next((token for token in allowed if token not in special), None)
        if token is None or not form.accept_tokens("trial", [token]):
            return
