"""Speculative decoding of texts from what they are expected to be: of a refinement its draft, of an
answer the caller's prediction. The code that vLLM's worker calls.

After every step vLLM asks ``DraftProposer`` for the next tokens of each text, and the model
verifies them in the next step: the output is what the model writes without speculation. There are
no guesses for a text of which nothing is expected.

vLLM gives a custom proposer the tokens of a batch without their request ids; ``begin`` gives it
the model runner, which has them, and works around defects of vLLM's speculation.
"""

from __future__ import annotations

from typing import Any

from redraft.server.engine.aligned_draft import AlignedDraft
from redraft.server.engine.vllm_engine import predictions
from redraft.server.engine.vllm_engine.verifier import Verifier


class DraftProposer:
    """Named in vLLM's speculative configuration; guesses nothing until ``begin``."""

    def __init__(self, vllm_config: Any) -> None:
        self._most = int(vllm_config.speculative_config.num_speculative_tokens)
        self._window = int(vllm_config.model_config.max_model_len)
        self._runner: Any = None
        self._predictions = ""  # their name among the arguments of a request
        self._end: tuple[int, ...] = ()  # of a text
        self._drafts: dict[str, AlignedDraft | None] = {}  # by request; None: no guesses

    def load_model(self, model: Any) -> None:
        """Called by vLLM; a proposer without a model loads none."""

    def begin(self, runner: Any, predictions: str, end: int | None) -> None:
        self._runner, self._predictions = runner, predictions
        self._end = () if end is None else (end,)
        # Near the end of the window vLLM would replace the guesses of all requests by zeros, on a
        # CUDA stream, as for a draft model; ``propose`` keeps to the window itself.
        runner.effective_drafter_max_model_len = self._window + self._most
        runner.rejection_sampler = Verifier(runner.rejection_sampler)

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """A guess for each row of the batch, whose tokens end with those just sampled."""
        if self._runner is None:
            return [[] for _ in sampled_token_ids]
        batch = self._runner.input_batch
        requests = batch.req_ids
        guesses: list[list[int]] = []
        for row, (request, new) in enumerate(zip(requests, sampled_token_ids, strict=False)):
            if not new:  # its prompt is still being processed
                guesses.append([])
                continue
            length = int(num_tokens_no_spec[row])
            if request in self._drafts:
                if draft := self._drafts[request]:
                    draft.write(new)
            else:
                written = token_ids_cpu[row, :length]
                draft = self._aligned(request, written, int(batch.num_prompt_tokens[row]))
                self._drafts[request] = draft
            room = min(self._most, self._window - length - 1)
            guesses.append(draft.guess(room) if draft and room > 0 else [])
        if len(self._drafts) > 2 * len(requests):
            self._drafts = {r: self._drafts[r] for r in requests if r in self._drafts}
        return guesses

    def _aligned(self, request: str, row: Any, num_prompt_tokens: int) -> AlignedDraft | None:
        """What a new request is expected to write, aligned with what it has written already."""
        asked = self._runner.requests[request].sampling_params
        if asked.thinking_token_budget is not None:  # vLLM miscounts thoughts with guesses in them
            return None
        ids = predictions.in_arguments(self._predictions, asked.extra_args)
        if ids is None:
            return None
        draft = AlignedDraft([*ids, *self._end])
        draft.write(row[num_prompt_tokens:].tolist())
        return draft
