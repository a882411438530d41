"""How a stage's options are declared and read: one frozen dataclass per stage, each default once.

An option comes from the command line, else the environment (``REDRAFT_STAGE_OPTION``), else the
file given with ``--config``, else its default. An unknown option is an error that names the
known ones.
"""

from __future__ import annotations

import argparse
import collections.abc
import dataclasses
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from redraft.server.engine.base import EngineError
from redraft.server.jsonl import LineError

T = TypeVar("T")


class Problem(Exception):
    """What whoever runs a stage can do something about; the message says what."""


class ConfigError(Problem, ValueError):
    """An option that cannot be used as given; the message says what to give instead."""


def option(help: str, default: Any = dataclasses.MISSING) -> Any:
    """A field of a stage's options. Without a default it is required."""
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help})


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-5 as text; everyone who writes a learning rate means the number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*)(?:\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def program(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a stage as a program: problems are one line, not a traceback."""
    try:
        return main(sys.argv[1:] if argv is None else argv)
    except (Problem, EngineError, LineError, FileNotFoundError) as problem:
        print(f"redraft train: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("redraft train: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}, expected options as key: value")
    return content


def parse(
    cls: type[T], stage: str, argv: Sequence[str], environ: Mapping[str, str] = os.environ
) -> T:
    """The options of ``stage`` from the command line, the environment and a file."""
    given = vars(_parser(cls, stage).parse_args(argv))
    file = given.pop("config", None)
    content = read_yaml(Path(file)) if file else {}
    known = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    for name in known:
        if (value := environ.get(variable(stage, name))) is not None:
            content[name] = value
    return build(cls, {**content, **given}, stage)


def build(cls: type[T], content: Mapping[str, Any], stage: str) -> T:
    """Options from plain values, as a recipe or a file holds them."""
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    spelled = {name.replace("-", "_"): value for name, value in content.items()}
    if unknown := sorted(spelled.keys() - fields.keys()):
        known = ", ".join(sorted(fields))
        raise ConfigError(f"unknown {stage} option {unknown[0]!r}; known options: {known}")
    hints = typing.get_type_hints(cls)
    values = {n: _typed(hints[n], v, f"{stage} option {n!r}") for n, v in spelled.items()}
    required = [n for n, f in fields.items() if _required(f) and values.get(n) is None]
    if required:
        flag = required[0].replace("_", "-")
        raise ConfigError(f"{stage} needs --{flag}: {fields[required[0]].metadata['help']}")
    return cls(**values)


def variable(stage: str, name: str) -> str:
    return f"REDRAFT_{stage}_{name}".upper().replace("-", "_")


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _parser(cls: type[Any], stage: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"redraft train {stage}",
        description=(cls.__doc__ or "").strip(),
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="a YAML file with any of the options below")
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        flags: dict[str, Any] = {"help": _help(field, stage).replace("%", "%%")}
        kind = _plain(hints[field.name])
        if kind is bool:
            flags["action"] = argparse.BooleanOptionalAction
        elif kind in (tuple, Mapping):
            flags |= {"nargs": "+", "metavar": "VALUE" if kind is tuple else "KEY=VALUE"}
        else:
            flags["metavar"] = kind.__name__.upper()
        parser.add_argument(f"--{field.name.replace('_', '-')}", **flags)
    return parser


def _help(field: dataclasses.Field[Any], stage: str) -> str:
    default = "required" if _required(field) else f"default {field.default!r}"
    if field.default_factory is not dataclasses.MISSING:
        default = f"default {field.default_factory()!r}"
    return f"{field.metadata['help']} [{default}; {variable(stage, field.name)}]"


def _plain(hint: Any) -> type:
    """The class behind ``int | None``, ``tuple[str, ...]``, ``Literal["a", "b"]``."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return str
    origin: Any = typing.get_origin(hint) or hint
    return Mapping if origin is collections.abc.Mapping else origin


def _typed(hint: Any, value: Any, where: str) -> Any:
    if value is None or value == "none":
        return None
    kind = _plain(hint)
    if kind is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        parts = parts if isinstance(parts, list | tuple) else [parts]
        return tuple(_part(typing.get_args(hint)[0], part, where) for part in parts)
    if kind is Mapping:
        return _mapping(value, where)
    if kind is bool and isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ConfigError(f"{where} is {value!r}, expected true or false")
        return value.lower() in ("true", "1", "yes")
    try:
        converted = kind(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where} is {value!r}, expected {kind.__name__}") from error
    choices = _choices(hint)
    if choices and converted not in choices:
        raise ConfigError(f"{where} is {value!r}, expected one of {', '.join(choices)}")
    return converted


def _part(hint: Any, value: Any, where: str) -> Any:
    return _mapping(value, where) if _plain(hint) is Mapping else str(value)


def _choices(hint: Any) -> tuple[str, ...]:
    for part in (hint, *typing.get_args(hint)):
        if typing.get_origin(part) is typing.Literal:
            return typing.get_args(part)
    return ()


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    pairs = value.split(",") if isinstance(value, str) else value
    if len(pairs) == 1 and "=" not in pairs[0]:
        return {"model": pairs[0]}  # the one thing an engine or a critic cannot do without
    if bad := [p for p in pairs if "=" not in p]:
        raise ConfigError(f"{where} has {bad[0]!r}, expected KEY=VALUE")
    return {k: yaml.load(v, Loader=_Loader) for k, v in (p.split("=", 1) for p in pairs)}
