"""API keys: reads them, and finds the client a request's key belongs to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from redraft.server.api.errors import ApiError
from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError
from redraft.server.options.key_files import read_secret


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The client a key belongs to, and the key's hash; the key itself is not kept."""

    client: str
    sha256: bytes = field(repr=False)

    @classmethod
    def of(cls, client: str, key: str) -> ApiKey:
        return cls(client, _sha256(key))


def read_keys(config: ServerConfig) -> list[ApiKey]:
    """The keys in the file and in the environment."""
    entries = config.api_keys.replace(",", "\n").splitlines()
    if config.api_keys_file:
        entries += read_secret(config.api_keys_file).splitlines()
    keys = []
    for entry in entries:
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        name, _, key = entry.partition(":")
        if not name.strip() or not key.strip():
            # The entry itself may be a key, and keys are never shown.
            raise ConfigError("an API key has no name; write each as NAME:KEY")
        keys.append(ApiKey.of(name.strip(), key.strip()))
    return keys


def client_of(scope: Scope, keys: Sequence[ApiKey]) -> str:
    """The client a request's API key belongs to; ApiError for a missing or unknown key."""
    scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    secret = secret.strip() if scheme.lower() == "bearer" else ""
    sha256 = _sha256(secret)
    # Every key is compared, each in constant time, so that timing reveals nothing.
    clients = [key.client for key in keys if hmac.compare_digest(key.sha256, sha256)]
    if clients:
        return clients[0]
    problem = "this API key is not known" if secret else "no API key was sent"
    message = f"{problem}; send one in the header 'Authorization: Bearer KEY'"
    headers = {"WWW-Authenticate": "Bearer"}
    raise ApiError(401, message, code="invalid_api_key", headers=headers)


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
