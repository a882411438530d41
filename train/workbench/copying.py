"""First weights that can copy: two attention layers set up to find what followed a token before.

A transformer trained from scratch spends most of a short training on discovering how to copy out
of its context. Large models bring that along from pre-training. Here two heads of the first layer
start out looking one and two tokens back, and two heads of the second layer start out looking for
the place where the token now at hand came before (known as induction heads). Everything is
trained on from there like any other weight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_CODE = 32  # dimensions in which tokens are compared
_CONSTANT = 0.4  # one dimension that is alike for all tokens, to look at positions alone
_FAST = 6  # pairs of dimensions that rotate fast enough to tell neighbouring positions apart
_SHARPNESS = 0.8
_MATCH = 1.6
_WRITE = 0.16
_SAY = 0.5  # weight of the token found, as the next token
_SPARE = 0.01  # spread of the dimensions not used
_QUIET = 0.1  # factor on all other outputs, so that they do not drown these


def set_up(model: Any, seed: int) -> None:
    """Overwrite parts of the first two layers and one dimension of the embeddings."""
    import torch

    config, generator = model.config, torch.Generator().manual_seed(seed)
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    frame = torch.linalg.qr(torch.randn(width - 1, width - 1, generator=generator)).Q
    frame = torch.cat([torch.zeros(width - 1, 1), frame], dim=1)  # blind to the constant dimension
    code, back_one, back_two = frame[:_CODE], frame[_CODE : 2 * _CODE], frame[2 * _CODE : 3 * _CODE]
    look, find = (layer.self_attn for layer in model.model.layers[:2])
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = _CONSTANT
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight *= _QUIET
            layer.mlp.down_proj.weight *= _QUIET
        for number, written in enumerate((back_one, back_two)):
            rows = slice(number * head, (number + 1) * head)
            _spare(look, rows, generator)
            _look_back(look, rows, number + 1, config.rope_parameters["rope_theta"])
            look.v_proj.weight[rows] = 0.0
            look.v_proj.weight[rows][:_CODE] = code
            look.o_proj.weight[:, rows] = 0.0
            look.o_proj.weight[:, rows][:, :_CODE] = _WRITE * written.T
        _spare(find, slice(0, 2 * head), generator)
        _find(find, slice(0, head), code, back_one)
        _find(find, slice(head, 2 * head), back_one, back_two)
        for number in range(2):
            rows = slice(number * head, (number + 1) * head)
            seen = frame[torch.randperm(width - 1, generator=generator)[:head]]
            find.v_proj.weight[rows] = seen
            find.o_proj.weight[:, rows] = _SAY * seen.T


def _spare(attention: Any, rows: slice, generator: torch.Generator) -> None:
    """Small random weights: at zero they would never get a gradient."""
    for weight in (attention.q_proj.weight, attention.k_proj.weight):
        weight[rows].normal_(0.0, _SPARE, generator=generator)


def _look_back(attention: Any, rows: slice, distance: int, theta: float) -> None:
    """Attend by position alone: the score is highest ``distance`` tokens back."""
    query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
    half = query.shape[0] // 2
    for pair in range(_FAST):
        angle = distance * theta ** (-pair / half)
        query[pair, 0] = _SHARPNESS
        key[pair, 0] = _SHARPNESS * math.cos(angle)
        key[pair + half, 0] = _SHARPNESS * math.sin(angle)


def _find(attention: Any, rows: slice, wanted: torch.Tensor, known: torch.Tensor) -> None:
    """Attend where ``known`` of the past is like ``wanted`` of the present, in the dimensions
    that hardly rotate, so that distance does not matter."""
    query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
    half = query.shape[0] // 2
    slow = [*range(half // 2, half), *range(half + half // 2, 2 * half)]
    query[slow] = _MATCH * wanted
    key[slow] = _MATCH * known
