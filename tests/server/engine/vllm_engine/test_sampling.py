"""What vLLM is asked for: the request's own sampling over the model's generation_config.json."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.engine.base import Sampling

pytestmark = pytest.mark.vllm

MODELS_OWN = {"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.1}


def sampling_params(sampling: Sampling, models_own: dict[str, float], room: int) -> Any:
    from redraft.server.engine.vllm_engine.sampling import sampling_params

    return sampling_params(sampling, models_own, room=room)


def test_a_draft_is_sampled_as_the_model_says() -> None:
    draft = sampling_params(Sampling(max_tokens=9), MODELS_OWN, room=100)
    assert (draft.temperature, draft.top_k, draft.repetition_penalty) == (0.6, 20, 1.1)


def test_the_temperature_of_a_phase_wins_and_the_models_penalty_holds_everywhere() -> None:
    feedback = sampling_params(Sampling(temperature=0.0), MODELS_OWN, room=100)
    assert (feedback.temperature, feedback.repetition_penalty) == (0.0, 1.1)
    assert feedback.max_tokens == 100


def test_vllms_own_end_of_a_repetition_is_a_cut() -> None:
    from redraft.server.engine.vllm_engine.errors import finish_reason

    assert finish_reason("repetition", sampling_params(Sampling(), {}, room=1)) == "length"
