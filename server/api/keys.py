"""API keys: what an entry of a key file says, and whether a request's key is one of them.

An entry is NAME:KEY or NAME:sha256:HASH, and may say until when the key is valid:

    alice:sk-alice
    bob:sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae expires=2027-06-30
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from starlette.datastructures import Headers
from starlette.types import Scope

from redraft.server.api.errors import ApiError
from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError, read_secret

_EXPIRY = re.compile(r"\sexpires=(\S+)$")
_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The client a key belongs to, and the key's hash; the key itself is not kept."""

    client: str
    sha256: bytes = field(repr=False)
    expires: datetime | None = None  # the first moment at which it is not valid any more

    @classmethod
    def of(cls, client: str, key: str, expires: datetime | None = None) -> ApiKey:
        return cls(client, _sha256(key), expires)

    @classmethod
    def read(cls, entry: str) -> ApiKey:
        """ConfigError for an entry that is none."""
        name, _, rest = entry.partition(":")
        when = _EXPIRY.search(rest.rstrip())
        client, key = name.strip(), (rest[: when.start()] if when else rest).strip()
        if not client or not key:
            # The entry itself may be a key, and keys are never shown.
            raise ConfigError("an API key has no name; write each as NAME:KEY")
        expires = end_of(when[1], client) if when else None
        if hashed := _HASHED.fullmatch(key):
            return cls(client, bytes.fromhex(hashed[1]), expires)
        return cls.of(client, key, expires)

    @property
    def expired(self) -> bool:
        return self.expires is not None and datetime.now(UTC) >= self.expires


def end_of(when: str, client: str) -> datetime:
    """The moment a key expires: the end of a day, or a time of it, in UTC unless it says."""
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        problem = f"the API key of {client!r} has expires={when[:40]}"
        raise ConfigError(f"{problem}; write a day, such as expires=2027-06-30") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment + timedelta(days=1) if _DAY.fullmatch(when) else moment


def entry_of(client: str, key: str, expires: str = "") -> str:
    """The entry of a key file that has the key's hash in place of the key."""
    until = f" expires={expires}" if expires else ""
    return f"{client}:sha256:{_sha256(key).hex()}{until}"


def read_keys(config: ServerConfig) -> list[ApiKey]:
    """The keys in the file and in the environment."""
    entries = config.api_keys.replace(",", "\n").splitlines()
    if config.api_keys_file:
        entries += read_secret(config.api_keys_file).splitlines()
    return [
        ApiKey.read(entry)
        for entry in entries
        if entry.strip() and not entry.lstrip().startswith("#")
    ]


def check_access(config: ServerConfig, keys: Sequence[ApiKey]) -> None:
    """Raise ConfigError for an address that others can reach, and no key to keep them out."""
    if config.guard and not keys:
        raise ConfigError(
            f"--guard {config.guard[0]} asks for an API key, and there are none; give them "
            f"with --api-keys-file or REDRAFT_API_KEYS"
        )
    if keys or config.open_access or is_loopback(config.host):
        return
    raise ConfigError(
        f"{config.host} can be reached by others and there are no API keys; give them with "
        f"--api-keys-file or REDRAFT_API_KEYS, or serve everyone with --open-access"
    )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def client_of(scope: Scope, keys: Sequence[ApiKey]) -> str:
    """The client a request's API key belongs to; ApiError for a missing or unknown key."""
    scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    secret = secret.strip() if scheme.lower() == "bearer" else ""
    sha256 = _sha256(secret)
    # Every key is compared, each in constant time, so that timing reveals nothing.
    found = [key for key in keys if hmac.compare_digest(key.sha256, sha256)]
    for key in found:
        if not key.expired:
            return key.client
    problem = "this API key is not known" if secret else "no API key was sent"
    problem = "this API key has expired" if found else problem
    message = f"{problem}; send one in the header 'Authorization: Bearer KEY'"
    headers = {"WWW-Authenticate": "Bearer"}
    raise ApiError(401, message, code="invalid_api_key", headers=headers)


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
