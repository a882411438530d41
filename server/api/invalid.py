"""Invalid: says in one sentence which field of a request is wrong and what it should be, from
the list of everything pydantic found.

What the client sent is shown only when it is short: an error must not be larger than its cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

Path = tuple[str | int, ...]

# Names that pydantic puts into a path for the branches of a union; no field is called so.
_BRANCHES = {
    *("str", "constrained-str", "text-content", "parts-content"),
    *("one-text", "token-ids", "texts", "id-lists"),
}
_CODES = {
    "missing": "missing_required_parameter",
    "unknown_field": "unknown_parameter",
    "json_invalid": "invalid_json",
}


class Invalid(ValueError):
    """A field that cannot be used as given; ``param`` names it as OpenAI does."""

    def __init__(self, param: str | None, message: str, code: str) -> None:
        super().__init__(message)
        self.param, self.code = param, code


def explain(found: Sequence[Any]) -> Invalid:
    """The one error worth reading first."""
    if found[0]["type"] == "json_invalid":
        where, what = found[0]["loc"][-1], found[0]["ctx"]["error"]
        message = f"the request body is not valid JSON: {what} at character {where}"
        return Invalid(None, message, "invalid_json")
    paths = [_path(error) for error in found]
    # Of one field, the deepest error is the one in the branch that was meant.
    field = paths[0][:1]
    deepest = max((path for path in paths if path[:1] == field), key=len)
    chosen = [error for error, path in zip(found, paths, strict=True) if path == deepest]
    param = spelled(deepest) or None
    code = _CODES.get(chosen[0]["type"])
    code = code or ("invalid_type" if chosen[0]["type"].endswith("_type") else "invalid_value")
    return Invalid(param, _message(param, chosen), code)


def spelled(path: Path) -> str:
    """``messages[0].content``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _path(error: Any) -> Path:
    path = [
        part
        for part in error["loc"][1:]
        if isinstance(part, int) or (part not in _BRANCHES and "[" not in part)
    ]
    if "field" in error.get("ctx", {}):  # found by a validator of the object that holds it
        path.append(error["ctx"]["field"])
    return tuple(path)


def _message(param: str | None, chosen: Sequence[Any]) -> str:
    first = chosen[0]
    if param is None:
        return "the request body should be a JSON object" + _but(first.get("input"))
    if first["type"] == "missing":
        return f"{param} is required"
    if first["type"] in ("value_error", "unknown_field", "contradiction"):
        return f"{param}: {_plain(first['msg'])}"
    wanted = list(dict.fromkeys(_plain(error["msg"]) for error in chosen))
    # "should be a valid string or a valid list"
    rest = [want.removeprefix("it should be ") for want in wanted[1:]]
    return f"{param} is {shown(first.get('input'))}; " + " or ".join([wanted[0], *rest])


def _plain(message: str) -> str:
    """pydantic's words, to go on a sentence with."""
    message = message.removeprefix("Value error, ").replace(" after validation", "")
    return re.sub(r"^(Input|List|String) should", "it should", message)


def _but(given: Any) -> str:
    return "" if given is None else f", not {shown(given)}"


def shown(value: Any) -> str:
    """A value from a request, short enough to be said back."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, bytes):
        return "bytes"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."
