"""The operator's own arguments for vLLM (``--engine-arg``), in every form its command line takes.

Ours are defaults and come first. Of two values for one option vLLM takes the later; of two JSON
objects for one option it would too, and all of ours in the first were lost: ``merged`` puts them
together key by key.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redraft.server.engine.base import EngineError

_NAMED = re.compile(r"\s*(-*)([^\s=-][^\s=]*)(=|\s+|$)(.*)", re.DOTALL)


def words_of(argument: str) -> list[str]:
    """One argument as words of a command line: NAME, NAME=VALUE, or NAME VALUE ...

    The dashes of a name may be left out, but not the single dash of a short one (``-O3``). What
    follows ``=`` and a JSON value are one word as they are; other values are split as a shell
    does."""
    named = _NAMED.fullmatch(argument)
    if named is None:
        raise EngineError(
            f"an engine argument is {argument!r}; expected NAME=VALUE, NAME VALUE or NAME"
        )
    dashes, name, separator, value = named.groups()
    option = (dashes or "--") + name
    if separator == "=":
        return [f"{option}={value}"]
    return [option, *_split(value.strip())]


def _split(value: str) -> list[str]:
    if value.startswith(("{", "[")):
        return [value]
    try:
        return shlex.split(value)
    except ValueError:  # a quotation mark that is part of the value
        return [value]


def chat_template(words: Iterable[str]) -> str | None:
    """The text of the chat template that ``words`` name, a file or the text itself; None when they
    name none. OSError when the file cannot be read."""
    value = None
    rest = iter(words)
    for word in rest:
        name, equals, here = word.partition("=")
        if name.replace("_", "-") == "--chat-template":  # of several vLLM takes the last
            value = here if equals else next(rest, "")
    if value is None or any(sign in value for sign in "{}\n"):  # as vLLM tells text from files
        return value
    return Path(value).read_text(encoding="utf-8")


def with_config_file(words: Sequence[str], read: Callable[[str], Sequence[str]]) -> tuple[str, ...]:
    """``words`` with the arguments in the file of vLLM's ``--config`` in front of the others."""
    file, rest = None, []
    following = iter(words)
    for word in following:
        if word == "--config":
            file = next(following, "")
        elif word.startswith("--config="):
            file = word.removeprefix("--config=")
        else:
            rest.append(word)
    if file is None:
        return tuple(rest)
    try:
        return (*read(file), *rest)
    except (OSError, ValueError) as error:
        raise EngineError(f"vLLM cannot read the --config file {file!r}: {error}") from error


def merged(words: Sequence[str], options: Mapping[str, str]) -> list[str]:
    """``words`` with the JSON objects of each option put together; the later wins, key by key.
    ``options`` has the spellings of every option that takes one value, and one name for each."""
    objects: dict[str, dict[str, Any]] = {}
    places: list[str | tuple[str, str]] = []  # a tuple: an option whose object comes here
    rest = iter(words)
    for word in rest:
        spelling, equals, value = word.partition("=")
        name = options.get(spelling)
        if name is None:
            places.append(word)
            continue
        if not equals:
            value = next(rest, "")
        content = _object(value)
        if content is None:
            places += [word] if equals else [word, value]
        elif name in objects:
            _update(objects[name], content)
        else:
            objects[name] = content
            places.append((spelling, name))
    return list(_written(places, objects))


def _object(value: str) -> dict[str, Any] | None:
    if not value.lstrip().startswith("{"):
        return None
    try:
        content: Any = json.loads(value)
    except ValueError:  # vLLM says what is wrong with it
        return None
    return content if isinstance(content, dict) else None


def _update(old: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        inner = old.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            _update(inner, value)
        else:
            old[key] = value


def _written(
    places: Iterable[str | tuple[str, str]], objects: Mapping[str, dict[str, Any]]
) -> Iterable[str]:
    for place in places:
        if isinstance(place, str):
            yield place
        else:
            spelling, name = place
            yield from (spelling, json.dumps(objects[name]))
