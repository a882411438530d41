"""Upgrades: a request that would rather go on in another protocol is read as the HTTP/1.1 it is.

A server may ignore the wish (RFC 9110, 7.8). httptools ends its reading after the head of such a
request, so that a body after it was taken for the next request; what it has read is given to a new
parser without the wish.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

UPGRADE, CONNECTION = b"upgrade", b"connection"


class WithoutUpgrades(asyncio.Protocol):
    """Goes before a class of uvicorn's that takes no upgrade. Of h11's it changes nothing: h11
    reads on by itself."""

    parser: Any
    headers: list[tuple[bytes, bytes]]
    url: bytes
    _data = _again = b""

    def data_received(self, data: bytes) -> None:
        self._data = data
        super().data_received(data)
        while again := self._again:
            self._data, self._again = again, b""
            self.parser = type(self.parser)(self)
            super().data_received(again)

    def on_headers_complete(self) -> None:
        if not self._wishes():
            super().on_headers_complete()  # type: ignore[misc]

    def on_message_complete(self) -> None:
        if not self._wishes():
            super().on_message_complete()  # type: ignore[misc]

    def _wishes(self) -> bool:
        """Whether the request is one that will be read again. CONNECT has no other reading."""
        named = any(name == UPGRADE for name, _ in self.headers)
        upgrades: bool = self.parser.should_upgrade()
        return upgrades and named and self.parser.get_method() != b"CONNECT"

    def _unsupported_upgrade_warning(self) -> None:
        """Called instead of going on in the other protocol."""
        error = sys.exception()
        if error is not None and self._wishes():
            self._again = self._head() + self._data[error.args[0] :]

    def _head(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == CONNECTION:
                kept = [token for token in value.split(b",") if token.strip().lower() != UPGRADE]
                value = b",".join(kept)
            if name != UPGRADE and (value or name != CONNECTION):
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])
