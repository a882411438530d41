"""What adapters add to a layer's output on a CPU: one matrix product for each adapter in the batch.

vLLM's own functions copy an adapter's weights once for every token and multiply them token by
token, for a token of the base too: reading a prompt takes 5 times as long as without adapters, and
to sample 96 tokens of 49,000 words 300 MB are copied, most often of zeros. And they have the base's
tokens written by the last slot; see ``adapters.arguments``.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

# Slot -> the rows of the batch that its adapter writes; None: all of them.
Groups = dict[int, torch.Tensor | None]

_update_metadata = PunicaWrapperCPU.update_metadata


def install() -> None:
    """Called in the worker's process, before the first completion."""
    PunicaWrapperCPU.update_metadata = update_metadata
    PunicaWrapperCPU.add_lora_linear = add_lora_linear
    PunicaWrapperCPU.add_lora_logits = add_lora_logits


def update_metadata(wrapper: Any, *arguments: Any, **named: Any) -> None:
    """Called by vLLM when another batch is to be computed."""
    _update_metadata(wrapper, *arguments, **named)
    wrapper.redraft_groups = None


def add_lora_linear(
    wrapper: Any,
    y: torch.Tensor,
    x: torch.Tensor,
    lora_a_stacked: tuple[torch.Tensor, ...],
    lora_b_stacked: tuple[torch.Tensor, ...],
    scale: float,
    output_slices: tuple[int, ...],
    **_: Any,
) -> None:
    """Add to ``y``, the outputs of one layer, what the adapters make of its inputs ``x``."""
    inputs = x.view(-1, x.shape[-1])
    if getattr(wrapper, "redraft_groups", None) is None:
        wrapper.redraft_groups = groups_of(wrapper.token_lora_indices, len(inputs))
    groups = wrapper.redraft_groups
    _add(groups, y, inputs, lora_a_stacked, lora_b_stacked, scale, output_slices)


def add_lora_logits(
    wrapper: Any,
    y: torch.Tensor,
    x: torch.Tensor,
    lora_a_stacked: torch.Tensor,
    lora_b_stacked: torch.Tensor,
    scale: float,
    **_: Any,
) -> None:
    """The same for the logits. vLLM has room for it in every slot; few adapters make use of it."""
    inputs = x.view(-1, x.shape[-1])
    groups = groups_of(wrapper.sampler_indices, len(inputs))
    used = {slot: rows for slot, rows in groups.items() if lora_b_stacked[slot].any()}
    _add(used, y, inputs, (lora_a_stacked,), (lora_b_stacked,), scale, (y.shape[-1],))


def _add(
    groups: Groups,
    y: torch.Tensor,
    inputs: torch.Tensor,
    a_of_slices: tuple[torch.Tensor, ...],
    b_of_slices: tuple[torch.Tensor, ...],
    scale: float,
    widths: tuple[int, ...],
) -> None:
    outputs = y.view(-1, y.shape[-1])
    for slot, rows in groups.items():
        part = inputs if rows is None else inputs.index_select(0, rows)
        mine = outputs if rows is None else outputs.index_select(0, rows)
        start = 0
        for a, b, width in zip(a_of_slices, b_of_slices, widths, strict=True):
            columns = mine[:, start : start + min(width, b.shape[2])]
            up = _transposed(b)[slot, 0, :, : columns.shape[1]]
            columns.addmm_(part @ _transposed(a)[slot, 0], up, alpha=scale)
            start += width
        if rows is not None:
            outputs.index_copy_(0, rows, mine)


def _transposed(weights: torch.Tensor) -> torch.Tensor:
    """The transposed matrices, laid out so that a product reads them in the order of memory.

    vLLM copies adapters into these tensors by index, so nothing else depends on their layout.
    """
    transposed = weights.transpose(2, 3)
    if not transposed.is_contiguous():
        transposed = transposed.contiguous()
        weights.data = transposed.transpose(2, 3)
    return transposed


def groups_of(slots: torch.Tensor, num_rows: int) -> Groups:
    """The rows of each adapter, from the slot of each row; -1 is the base."""
    slots = slots[:num_rows]
    used = sorted({slot for slot in slots.tolist() if slot >= 0})
    if len(slots) == num_rows and len(used) == 1 and bool((slots == used[0]).all()):
        return {used[0]: None}
    return {slot: (slots == slot).nonzero().squeeze(1) for slot in used}
