"""Request bodies for an OpenAI-compatible upstream, from prompts and samplings."""

from __future__ import annotations

import logging

from redraft.server.engine import chat_body
from redraft.server.engine.base import Chat, EngineRefused, Prompt, Sampling
from redraft.server.engine.http_engine.answer import Unsupported

log = logging.getLogger(__name__)

# Hosted reasoning models refuse these; an answer without them is better than none.
_DISPENSABLE = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"})
_NEW_NAMES = {"max_tokens": "max_completion_tokens"}


class Dialect:
    """The request fields one upstream takes, as configured or learned from its refusals."""

    def __init__(self, model: str, vllm: bool, switches: tuple[str, ...] = ()) -> None:
        """``switches``: the template variables by which the model thinks or does not."""
        self._model, self._vllm, self._switches = model, vllm, switches
        self._left_out: set[str] = set()
        self._renamed: dict[str, str] = {}

    def body(self, prompt: Prompt, sampling: Sampling) -> chat_body.Fields:
        """The request for one streamed completion: of /completions for Tokens, of
        /chat/completions for a Chat."""
        body: chat_body.Fields = {
            "model": self._model,
            "stream": True,
            "stream_options": {"include_usage": True},
            **chat_body.prompt_fields(prompt),
            **chat_body.sampling_fields(sampling, chat=isinstance(prompt, Chat)),
        }
        if sampling.constraint is not None:
            body |= chat_body.constraint_fields(sampling.constraint, vllm=self._vllm)
        # An upstream that is said to think is told whether to, with token ids or without.
        takes_kwargs = self._vllm or bool(self._switches)
        if isinstance(prompt, Chat) and prompt.options.template_kwargs and not takes_kwargs:
            raise EngineRefused("chat_template_kwargs need a vLLM upstream; leave them out")
        if takes_kwargs and isinstance(prompt, Chat):
            body |= chat_body.vllm_fields(prompt.options, self._switches)
        if self._vllm:
            # Stop strings stay in the text; StopStrings removes them together with their ids.
            body |= {"return_token_ids": True, "include_stop_str_in_output": bool(sampling.stop)}
        return {self._renamed.get(k, k): v for k, v in body.items() if k not in self._left_out}

    def learn(self, refusal: Unsupported) -> None:
        """Rename or leave out the refused field from now on; raise the refusal again when neither
        is possible."""
        param = refusal.param
        if param in _NEW_NAMES and param not in self._renamed:
            self._renamed[param] = _NEW_NAMES[param]
        elif param == "stop" and param not in self._left_out:
            self._left_out.add(param)  # stop strings are cut out on our side anyway
        elif param in _DISPENSABLE and param not in self._left_out:
            log.warning("the upstream does not take %s; it is left out from now on", param)
            self._left_out.add(param)
        else:
            raise refusal
