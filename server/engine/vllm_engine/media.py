"""Parts of a chat that are not text, as vLLM reads them.

They come in data URLs. vLLM would also fetch them from any address that a request names, those of
the machine's own network included: it fetches from the hosts that the operator allows, by default
from none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redraft.server.engine.base import Chat, EngineRefused

NO_HOST = "no-host.invalid"  # nobody can have this name; an empty list would allow all hosts
ALLOWING = "--engine-arg allowed-media-domains=HOST"


@contextmanager
def reading(chat: Chat, hosts: Sequence[str]) -> Iterator[None]:
    """The block in which vLLM reads the parts of ``chat``: EngineRefused for one it cannot read,
    or may not fetch. ``hosts``: those that are allowed."""
    if list(hosts) == [NO_HOST] and any(map(_is_remote, _parts(chat))):
        raise EngineRefused(
            "this server fetches nothing from other addresses: send it in a data: URL (its "
            f"operator can allow a host: {ALLOWING})"
        )
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not chat.has_media:
            raise
        raise EngineRefused(f"it cannot be read: {error}") from error


def _parts(chat: Chat) -> Iterator[dict[str, Any]]:
    for message in chat.messages:
        if message.has_media and message.wire is not None:
            yield from message.wire["content"]


def _is_remote(part: dict[str, Any]) -> bool:
    """Whether a part names an address: {"image_url": {"url": ...}} or {"image_url": ...}."""
    named = (value for name, value in part.items() if name != "text")
    urls = (value.get("url") if isinstance(value, dict) else value for value in named)
    return any(isinstance(url, str) and url.lower().startswith("http") for url in urls)
