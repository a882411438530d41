"""Keyring: the API keys that are valid now. It reads their file again when the file has changed,
and on SIGHUP.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence

from starlette.types import Scope

from redraft.server.api.keys import ApiKey, check_access, client_of, read_keys
from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError

log = logging.getLogger("redraft")

LOOKS_S = 1.0  # at the file, at most so often
Version = tuple[int, int, int]  # of a file: its number, its time, its size


class Keyring:
    def __init__(
        self,
        keys: Sequence[ApiKey] = (),
        config: ServerConfig | None = None,
        looks_s: float = LOOKS_S,
    ) -> None:
        """``config`` says where the keys come from; without one they stay as they are."""
        self.keys = tuple(keys)
        self._config, self._looks_s = config, looks_s
        self._version = self._found()
        self._looked = time.monotonic()

    @classmethod
    def open(cls, config: ServerConfig, looks_s: float = LOOKS_S) -> Keyring:
        """ConfigError for keys that cannot be read, and for an address that needs some."""
        keyring = cls((), config, looks_s)  # looks at the file before it reads it
        keyring._set(read_keys(config))
        return keyring

    def client_of(self, scope: Scope) -> str:
        """The client of a request; ApiError for a missing, unknown or expired key."""
        return client_of(scope, self.keys)

    def refresh(self) -> None:
        """Read the file again if it has changed since it was read."""
        now = time.monotonic()
        if self._config is None or now - self._looked < self._looks_s:
            return
        self._looked = now
        if self._found() != self._version:
            self.reload()

    def reload(self) -> None:
        """Read the keys again. Where that fails the keys before stay valid, and the log says so."""
        if self._config is None:
            return
        before, self._version = self.keys, self._found()
        try:
            self._set(read_keys(self._config))
        except ConfigError as error:
            log.error("API keys: %s; the %d read before stay valid", error, len(before))
            return
        log.info("API keys: read again, %d before and %d now", len(before), len(self.keys))

    def _set(self, keys: Sequence[ApiKey]) -> None:
        assert self._config is not None
        check_access(self._config, keys)
        if self.keys and not keys:  # everyone would be let in
            raise ConfigError("the file has no keys any more")
        self.keys = tuple(keys)

    def _found(self) -> Version | None:
        """The version of the file there is now; None: there is none, or it cannot be read."""
        if self._config is None or not self._config.api_keys_file:
            return None
        try:
            status = os.stat(self._config.api_keys_file)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
