"""Fields: those at the top level of a chat or completions request that nothing here acts on.

Hints are accepted without a word. A field nobody knows is named in a warning, with the known field
it resembles. A field of ``refine`` in the wrong place is refused: it would change the answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from starlette.requests import Request

from redraft.server.api.errors import invalid
from redraft.server.api.schema.requests import Generation, RefineOptions
from redraft.server.api.unsupported import DIRECT, NOWHERE
from redraft.server.api.warnings import warn

# Hints about cost, caching, records and style. They change no answer of this server.
HINTS = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
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


def check(body: Generation) -> None:
    """Refuse the fields of ``refine`` at the top level."""
    for name in sorted(RefineOptions.model_fields.keys() & set(_unknown(body))):
        message = (
            f'{name} belongs in the refine object: "refine": {{"{name}": ...}}; with the OpenAI '
            f'SDK, extra_body={{"refine": {{"{name}": ...}}}}'
        )
        raise invalid(name, message, "unknown_parameter")


def warn_of_unknown(request: Request, body: Generation) -> None:
    """Name the unknown fields in a warning."""
    names = list(_unknown(body))
    if not names:
        return
    known = [*type(body).model_fields, *HINTS, *DIRECT]
    shown = ", ".join(_shown(name, known) for name in names[:MOST_NAMED])
    rest = len(names) - MOST_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    warn(request, f"unknown {'field' if len(names) == 1 else 'fields'} {shown}{more}")


def _unknown(body: Generation) -> Iterator[str]:
    for name, value in (body.model_extra or {}).items():
        if value is not None and not (name in HINTS or name in DIRECT or name in NOWHERE):
            yield name


def _shown(name: str, known: list[str]) -> str:
    """The name, cut, and the nearest of the known ones."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    nearest = difflib.get_close_matches(name[:LONGEST_NAME].lower(), known, 1, ALIKE)
    return f"{cut!r}" + (f" (did you mean {nearest[0]!r}?)" if nearest else "")
