"""Reads the options of a program from its command line, the environment and a file."""

from __future__ import annotations

import difflib
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any, TypeVar

from redraft.server.options.command_line import CommandLine
from redraft.server.options.fields import (
    PREFIX,
    default_of,
    fields_of,
    flag,
    is_secret,
    unknown,
    variable,
)
from redraft.server.options.values import ConfigError, read_file, typed

T = TypeVar("T")

# Values by the name of their option, and the user's spelling of that name.
Source = tuple[Mapping[str, Any], Callable[[str], str]]


def read(
    cls: type[T],
    program: str,
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    *,
    prefix: str = PREFIX,
    file_wins: bool = False,
    about: str = "",
) -> T:
    """The options of a program from its command line, the environment and a file.

    ``prefix`` starts the names of its environment variables; ``file_wins``: over the environment;
    ``about`` heads its ``--help`` in place of the docstring of ``cls``.
    """
    flags = CommandLine(cls, program, prefix, file_wins, about).values(arguments)
    file = flags.pop("config", None) or environ.get(f"{prefix}CONFIG")
    sources: list[Source] = [
        (_environment(cls, environ, prefix), lambda name: variable(name, prefix)),
        (_file(cls, Path(file), prefix) if file else {}, lambda name: f"{name} in {file}"),
    ]
    if not file_wins:
        sources.reverse()
    return _made(cls, [*sources, (flags, flag)], program.split()[-1])


def build(
    cls: type[T],
    content: Mapping[str, Any],
    owner: str,
    environ: Mapping[str, str] | None = None,
    prefix: str = PREFIX,
) -> T:
    """Options from the values of a recipe; those it leaves out come from ``environ``, if there is
    one, else from the defaults. ``owner`` names the recipe's step in errors."""
    values = {name.replace("-", "_"): value for name, value in content.items()}
    for name in values:
        if name not in fields_of(cls):
            raise ConfigError(unknown(f"{owner} option", name, fields_of(cls)))
    variables = {} if environ is None else _environment(cls, environ, prefix)
    sources: list[Source] = [
        (variables, lambda name: variable(name, prefix)),
        (values, lambda name: f"{owner} option {name!r}"),
    ]
    return _made(cls, sources, owner)


def _made(cls: type[T], sources: Iterable[Source], owner: str) -> T:
    """``sources``: weakest first."""
    fields, hints = fields_of(cls), typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for content, spelled in sources:
        for name, value in content.items():
            shorthand = fields[name].metadata.get("shorthand", "")
            values[name] = typed(hints[name], value, spelled(name), shorthand)
            _check_least(fields[name], values[name], spelled(name))
    for name, field in fields.items():
        if name not in values and default_of(field) is MISSING:
            shown = field.metadata["positional"] or flag(name)
            raise ConfigError(f"{owner} needs {shown}: {field.metadata['help']}")
    return cls(**values)


def _check_least(field: Field[Any], value: Any, where: str) -> None:
    least = field.metadata.get("least")
    if least is not None and value is not None and value < least:
        raise ConfigError(f"{where} is {value}; the least is {least:g}")


def _environment(cls: type[Any], environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    names = {variable(name, prefix): name for name in fields_of(cls)}
    for name in environ:
        # Other programs use the prefix too (a training stage, a Kubernetes service of this name),
        # so only a name close to one of ours is taken for a typo.
        foreign = not name.startswith(prefix) or name in (*names, f"{prefix}CONFIG")
        if not foreign and (close := difflib.get_close_matches(name, names, cutoff=0.9)):
            raise ConfigError(unknown("environment variable", name, close))
    return {name: environ[key] for key, name in names.items() if key in environ}


def _file(cls: type[Any], path: Path, prefix: str) -> dict[str, Any]:
    content = {name.replace("-", "_"): value for name, value in read_file(path).items()}
    fields = fields_of(cls)
    for name in content:
        if name in fields and is_secret(fields[name]):
            instead = variable(name, prefix)
            raise ConfigError(f"{name} in {path}: set {instead} instead, or use a _file")
        if name not in fields:
            public = [name for name, field in fields.items() if not is_secret(field)]
            raise ConfigError(unknown(f"option in {path}:", name, public))
    return content
