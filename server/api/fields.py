"""Fields: those at the top level of a chat or completions request that nothing here acts on.

Hints are accepted without a word. A field nobody knows is named in a warning, with the known field
it resembles. A field of ``refine`` in the wrong place is refused: it would change the answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice

from redraft.server.api.errors import invalid
from redraft.server.api.schema.requests import Generation, RefineOptions
from redraft.server.api.unsupported import DIRECT, NOWHERE

# Hints about cost, caching, records and style. They change no answer of this server.
HINTS = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "verbosity",
        # vLLM's own
        "request_id",
        "session_id",
    }
)
MOST_NAMED, LONGEST_NAME = 3, 40
ALIKE = 0.7  # of difflib's ratio: temprature and temperature have 0.95


def check(request: Generation) -> None:
    """Refuse the fields of ``refine`` at the top level."""
    for name in sorted(RefineOptions.model_fields.keys() & set(_unknown(request))):
        message = (
            f'{name} belongs in the refine object: "refine": {{"{name}": ...}}; with the OpenAI '
            f'SDK, extra_body={{"refine": {{"{name}": ...}}}}'
        )
        raise invalid(name, message, "unknown_parameter")


def unknown(request: Generation) -> str:
    """A warning that names the unknown fields; empty without any."""
    names = list(_unknown(request))
    if not names:
        return ""
    known = [*type(request).model_fields, *HINTS, *DIRECT]
    told = ", ".join(_told(name, known) for name in islice(names, MOST_NAMED))
    rest = len(names) - MOST_NAMED
    return f"unknown {'field' if len(names) == 1 else 'fields'} {told}" + (
        f" and {rest} more" if rest > 0 else ""
    )


def _unknown(request: Generation) -> Iterator[str]:
    for name, value in (request.model_extra or {}).items():
        if value is not None and not (name in HINTS or name in DIRECT or name in NOWHERE):
            yield name


def _told(name: str, known: list[str]) -> str:
    """The name, cut, and the nearest of the known ones."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    nearest = difflib.get_close_matches(name[:LONGEST_NAME].lower(), known, 1, ALIKE)
    return f"{cut!r}" + (f" (did you mean {nearest[0]!r}?)" if nearest else "")
