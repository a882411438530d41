"""Makes API keys, and the entries of a key file that have their hashes. Run:

redraft keys new NAME [--expires 2027-06-30]
redraft keys hash NAME < FILE_WITH_THE_KEY
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from redraft.server import options
from redraft.server.api.keys import end_of, entry_of
from redraft.server.options import ConfigError, option

PREFIX = "sk-redraft-"


@dataclass(frozen=True)
class KeyOptions:
    """Makes an API key, and the line for the file of redraft serve --api-keys-file.

    new prints the key, which is kept nowhere, and below it the line that has its hash. hash reads a
    key that exists from the standard input and prints the line. Hash keys of a program's making
    alone: a short word can be guessed from its hash.
    """

    action: Literal["new", "hash"] = option("new or hash", positional="ACTION")
    client: str = option("the name of the key's client", positional="NAME")
    expires: str = option("the last day of the key, such as 2027-06-30, in UTC; off: none", "")


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        chosen = options.read(KeyOptions, "redraft keys", arguments)
        for line in lines_of(chosen):
            print(line)
    except ConfigError as error:
        print(f"redraft keys: {error}", file=sys.stderr)
        return 2
    return 0


def lines_of(chosen: KeyOptions) -> list[str]:
    client = chosen.client.strip()
    if not client or any(mark in client for mark in ":,#\n"):
        raise ConfigError(f"the name is {chosen.client!r}; it is not empty and has no : , or #")
    if chosen.expires:
        end_of(chosen.expires, client)
    if chosen.action == "new":
        key = PREFIX + secrets.token_urlsafe(32)
        return [key, entry_of(client, key, chosen.expires)]
    key = sys.stdin.read().strip()
    if not key:
        raise ConfigError("the standard input has no key; run: redraft keys hash NAME < FILE")
    return [entry_of(client, key, chosen.expires)]
