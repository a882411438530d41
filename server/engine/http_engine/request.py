"""Request bodies for an OpenAI-compatible upstream, from prompts and samplings."""

from __future__ import annotations

import json
import logging
from typing import Any

from redraft.server.engine.base import Constraint, EngineRefused, Prompt, Sampling, Tokens
from redraft.server.engine.http_engine.answer import Unsupported

log = logging.getLogger(__name__)

Json = dict[str, Any]

# Hosted reasoning models refuse these; an answer without them is better than none.
_DISPENSABLE = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"})
_NEW_NAMES = {"max_tokens": "max_completion_tokens"}


class Dialect:
    """The request fields one upstream takes, as configured or learned from its refusals."""

    def __init__(self, model: str, vllm: bool) -> None:
        self._model, self._vllm = model, vllm
        self._left_out: set[str] = set()
        self._renamed: dict[str, str] = {}

    def body(self, prompt: Prompt, sampling: Sampling) -> Json:
        """The request for one streamed completion: of /completions for Tokens, of
        /chat/completions for a Chat."""
        body: Json = {
            "model": self._model,
            "stream": True,
            "stream_options": {"include_usage": True},
            **_prompt_fields(prompt),
            **_sampling_fields(sampling),
        }
        if sampling.constraint is not None:
            body |= self._constraint(sampling.constraint)
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

    def _constraint(self, constraint: Constraint) -> Json:
        kind, value = constraint.kind, constraint.value
        parsed: Any = None
        if kind in ("json_schema", "choice"):
            try:
                parsed = json.loads(value)
            except ValueError as error:
                raise EngineRefused(f"the {kind} constraint is not JSON: {error}") from error
        if self._vllm:
            values = {"json_object": True, "json_schema": parsed, "choice": parsed}
            field = "json" if kind == "json_schema" else kind
            return {"structured_outputs": {field: values.get(kind, value)}}
        if kind == "json_object":
            return {"response_format": {"type": "json_object"}}
        if kind == "json_schema":
            schema = {"name": "answer", "schema": parsed}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        raise EngineRefused(f"a {kind} constraint needs a vLLM upstream; use a JSON schema instead")


def _prompt_fields(prompt: Prompt) -> Json:
    if isinstance(prompt, Tokens):
        return {"prompt": list(prompt.ids)}
    return {"messages": [message.to_json() for message in prompt.messages]}


def _sampling_fields(sampling: Sampling) -> Json:
    fields: Json = sampling.numbers()
    if sampling.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    if sampling.ignore_eos:
        fields["ignore_eos"] = True
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.stop_token_ids:
        fields["stop_token_ids"] = list(sampling.stop_token_ids)
    return fields
