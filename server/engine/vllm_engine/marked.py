"""Completions that go on past marks: one generation of vLLM, in parts that each end at a mark."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from tokenizers import Tokenizer
from vllm import SamplingParams

from redraft.server.engine.base import Chunk, Mark, Sampling, Usage
from redraft.server.engine.marks import mark_of
from redraft.server.engine.vllm_engine.errors import next_output, vllm_errors
from redraft.server.engine.vllm_engine.sampling import finish_reason, sampling_params
from redraft.server.engine.vllm_engine.token_text import TokenText

Begun = tuple[AsyncGenerator[Any, None], SamplingParams]  # vLLM's outputs for these parameters


def past_marks(
    sampling: Sampling, defaults: Mapping[str, Any], room: int, llm: Any
) -> SamplingParams:
    """The parameters of a completion that its marks do not end, also where the model's own files
    name them among the tokens that end a text."""
    ends = {*sampling.stop_token_ids, *_ends_of_text(llm)}
    ends -= {token for token, *more in sampling.marks if not more}
    explicit = replace(sampling, ignore_eos=True, stop_token_ids=tuple(sorted(ends)), stop=())
    return sampling_params(explicit, defaults, room)


def _ends_of_text(llm: Any) -> set[int]:
    """As vLLM adds them to the parameters of a completion that does not ignore them."""
    named = llm.model_config.try_get_generation_config().get("eos_token_id")
    own = llm.get_tokenizer().eos_token_id
    listed = [named] if isinstance(named, int) else named or []
    return {*listed, *([] if own is None else [own])}


async def marked(
    begin: Callable[[], Begun],
    prompt: Sequence[int],
    marks: Sequence[Mark],
    tokenizer: Tokenizer,
) -> AsyncGenerator[Chunk, None]:
    """The chunks of one completion, token by token."""
    with vllm_errors():
        outputs, params = begin()
    text = TokenText(tokenizer, prompt)
    written: list[int] = []
    begun = 0  # tokens before this part
    async with aclosing(outputs):
        while True:
            output = await next_output(outputs)
            part = output.outputs[0]
            by_token = part.finish_reason == "stop"
            cached = output.num_cached_tokens or 0
            chunks: list[Chunk] = []
            for token in part.token_ids[:-1] if by_token else part.token_ids:
                written.append(token)
                text.add((token,))
                piece, ids = text.take()
                mark = mark_of(written, begun, marks)
                if piece or mark:
                    usage = Usage(len(prompt), len(written), cached, 1)
                    chunks.append(Chunk(piece, ids, usage=usage, mark=mark))
                if mark:
                    begun, text = len(written), TokenText(tokenizer, (*prompt, *written))
            if part.finish_reason:
                usage = Usage(len(prompt), len(written) + by_token, cached, 1)
                chunks.append(Chunk("", (), finish_reason(part.finish_reason, params), usage))
            for number, chunk in enumerate(chunks, 1):
                yield chunk if number == len(chunks) else replace(chunk, more=True)
            if part.finish_reason:
                return
