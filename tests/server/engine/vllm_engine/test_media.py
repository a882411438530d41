"""Parts that are not text: read from data URLs, and fetched from no address by default."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.engine.base import Chat, EngineRefused, Message
from redraft.server.engine.vllm_engine.media import NO_HOST, reading

HERE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def chat(*parts: Any) -> Chat:
    return Chat((Message("user", "", wire={"role": "user", "content": list(parts)}),))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://10.0.0.1/cat.png"}},
        {"type": "image_url", "image_url": "HTTPS://example.com/cat.png"},
        {"type": "text", "text": "a", "uuid": "1", "image_url": {"url": "http://10.0.0.1"}},
        {"type": "video_url", "video_url": {"url": "http://10.0.0.1/cat.mp4"}},
    ],
)
def test_an_address_is_refused_until_the_operator_allows_a_host(part: Any) -> None:
    with (
        pytest.raises(EngineRefused, match="allowed-media-domains=HOST"),
        reading(chat(HERE, part), [NO_HOST]),
    ):
        pytest.fail("vLLM is not asked")
    with reading(chat(HERE, part), ["10.0.0.1"]):
        pass  # vLLM looks at the host itself


def test_words_that_look_like_an_address_are_words() -> None:
    with reading(chat({"type": "text", "text": "http://10.0.0.1"}, HERE), [NO_HOST]):
        pass


def test_what_cannot_be_read_is_the_requests_fault_in_a_chat_with_parts_alone() -> None:
    with (
        pytest.raises(EngineRefused, match="it cannot be read: no local files"),
        reading(chat(HERE), [NO_HOST]),
    ):
        raise RuntimeError("no local files")
    with (
        pytest.raises(RuntimeError, match="broken"),
        reading(Chat((Message("user", "hi"),)), [NO_HOST]),
    ):
        raise RuntimeError("broken")
