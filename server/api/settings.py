"""ApiSettings: what the HTTP side of the server can be told. The program's configuration
(``redraft.server.config``) makes one; tests make their own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.refine.policy import Keep

T = TypeVar("T")

ReasoningField = Literal["both", "reasoning", "reasoning_content", "none", "inline_think"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who a key belongs to, and the key's hash; the key itself is not kept."""

    client: str
    sha256: bytes = field(repr=False)

    @classmethod
    def of(cls, client: str, key: str) -> ApiKey:
        return cls(client, hashlib.sha256(key.encode()).digest())


@dataclass(frozen=True, slots=True)
class ApiSettings:
    # What a request gets when it does not say; None: what the model's manifest says.
    max_iterations: int | None = None
    good_enough: int | None = None
    keep: Keep | None = None
    default_max_tokens: int | None = None  # of each response; None: what the window has room for

    # What a request may ask for at most.
    max_iterations_cap: int = 8
    max_drafts_cap: int = 8
    max_deadline_s: float = 600.0  # also the deadline of a request that names none; 0: no limit
    max_messages: int = 1000
    max_body_bytes: int = 4 * 1024 * 1024
    body_timeout_s: float = 60.0  # for a request body to arrive

    reasoning_field: ReasoningField = "both"
    keep_alive_s: float = 10.0  # of silence in a stream before a comment is sent; 0: never
    stall_s: float = 120.0  # a reader that takes nothing for so long is taken for gone; 0: never

    api_keys: tuple[ApiKey, ...] = ()  # none: everyone is let in
    cors_origins: tuple[str, ...] = ()
    root_path: str = ""  # the prefix a proxy in front strips

    def policy(self, manifest: DefaultPolicy) -> DefaultPolicy:
        """What a request gets that says nothing: the operator's word, else the manifest's."""
        iterations = _first(self.max_iterations, manifest.max_iterations)
        return DefaultPolicy(
            max_iterations=min(iterations, self.max_iterations_cap),
            good_enough=_first(self.good_enough, manifest.good_enough),
            keep=_first(self.keep, manifest.keep),
        )


def _first(given: T | None, otherwise: T) -> T:
    return otherwise if given is None else given
