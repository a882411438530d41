"""Judged pairs, read from the usual shapes of preference data.

{"messages": [...], "chosen": "...", "rejected": "..."}            as preferences writes them
{"prompt": ..., "chosen": "...", "rejected": "..."}                text or messages
{"chosen": [messages], "rejected": [messages]}                     two conversations
{"chosen": "\\n\\nHuman: ...", "rejected": "\\n\\nHuman: ..."}         HH-RLHF
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from redraft.server.engine.base import Message
from redraft.server.options import ConfigError
from redraft.train.data.instructions import BadRow, Instructions, rows
from redraft.train.data.records import PreferencePair

_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def read(source: str, limit: int | None = None) -> list[PreferencePair]:
    """The distinct pairs of a file or data set; how many rows are copies, and how many hold none,
    is printed. ConfigError when there is no pair."""
    result = Instructions()
    pairs: dict[tuple[object, ...], PreferencePair] = {}
    for origin, row in rows(source, result):
        if limit is not None and len(pairs) >= limit:
            break
        try:
            pair = to_pair(row)
        except BadRow as error:
            result.bad.append((origin, str(error)))
            continue
        if pairs.setdefault((pair.messages, pair.chosen, pair.rejected), pair) is not pair:
            result.num_duplicates += 1
    if result.bad:
        print(f"judgements: {len(pairs)} pairs, {len(result.bad)} bad rows; first: {result.bad[0]}")
    if result.num_duplicates:
        print(f"judgements: {result.num_duplicates} pairs are copies of others and count once")
    if not pairs:
        raise ConfigError(f"{source} holds no judged pair")
    return list(pairs.values())


def to_pair(row: Mapping[str, Any]) -> PreferencePair:
    if "chosen" not in row or "rejected" not in row:
        raise BadRow(f"has {', '.join(sorted(row))}; a judged pair has chosen and rejected")
    messages = row.get("messages", row.get("prompt"))
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if messages and isinstance(row["chosen"], str):
        if not isinstance(row["rejected"], str):
            raise BadRow(f"rejected is {type(row['rejected']).__name__}, expected text")
        return PreferencePair(_messages(messages), row["chosen"], row["rejected"])
    better, worse = (list(_conversation(row[which])) for which in ("chosen", "rejected"))
    if not better or not worse or better[:-1] != worse[:-1]:
        raise BadRow("chosen and rejected do not answer the same conversation")
    if better[-1].role != "assistant" or worse[-1].role != "assistant":
        raise BadRow("chosen or rejected does not end with the assistant's message")
    return PreferencePair(tuple(better[:-1]), better[-1].content, worse[-1].content)


def _messages(listed: Any) -> tuple[Message, ...]:
    try:
        messages = tuple(map(Message.from_json, listed))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRow(f"messages need role and content ({error!r})") from error
    if not all(isinstance(message.content, str) for message in messages):
        raise BadRow("a message whose content is no text")
    return messages


def _conversation(side: Any) -> Iterator[Message]:
    if isinstance(side, list):
        yield from _messages(side)
        return
    if not isinstance(side, str):
        raise BadRow(f"chosen or rejected is {type(side).__name__}, expected text or messages")
    _, *turns = _TURN.split(side)
    for speaker, text in zip(turns[::2], turns[1::2], strict=True):
        yield Message(_ROLES[speaker], text.strip())
