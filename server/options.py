"""How an option is declared, read and explained: one dataclass field is all there is to an option.

Its value comes from the command line, else the environment, else the TOML file named by
``--config``, else the field's default. A name that does not exist is an error that says which do.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PREFIX = "REDRAFT_"


class ConfigError(ValueError):
    """An option that cannot be used as given; the message says what to give instead."""


def option(
    default: Any, group: str, help: str, *, least: float | None = None, positional: str = ""
) -> Any:
    """A field of the configuration; ``least`` is the lowest number it takes, ``positional`` the
    name under which it can also be given without its flag."""
    metadata = {"group": group, "help": help, "least": least, "positional": positional}
    return dataclasses.field(default=default, metadata=metadata)


def secret(group: str, help: str) -> Any:
    """A field that is read from the environment only, and never shown: the arguments of a process
    can be read by every user of the machine."""
    return dataclasses.field(
        default="", repr=False, metadata={"group": group, "help": help, "secret": True}
    )


def read(cls: type[T], program: str, arguments: Sequence[str], environ: Mapping[str, str]) -> T:
    """The configuration that the command line, the environment and the file give."""
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    from_line = _command_line(cls, program, arguments)
    from_environment = _environment(fields, environ)
    file = from_line.pop("config", None) or environ.get(f"{PREFIX}CONFIG")
    from_file = _file(Path(file), fields) if file else {}
    hints = typing.get_type_hints(cls)
    values = {}
    for given, spelled in (
        (from_file, lambda name: f"{name} in {file}"),
        (from_environment, variable),
        (from_line, flag),
    ):
        for name, value in given.items():
            values[name] = _typed(hints[name], value, spelled(name))
            _check_least(fields[name], values[name], spelled(name))
    return cls(**values)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _command_line(cls: type[Any], program: str, arguments: Sequence[str]) -> dict[str, Any]:
    parser = _Parser(
        prog=program,
        usage=f"{program} [options]",
        description=(cls.__doc__ or "").strip(),
        epilog="An option comes from the command line, else its environment variable, else the "
        "file given with --config, else its default.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,  # an abbreviation that works today is a typo tomorrow
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"a TOML file with any of these options [{PREFIX}CONFIG]"
    )
    hints = typing.get_type_hints(cls)
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        title = field.metadata["group"]
        group = groups.get(title) or parser.add_argument_group(title)
        groups[title] = group
        if shown := field.metadata.get("positional"):
            parser.add_argument(
                field.name, nargs="?", metavar=shown, help=f"same as --{field.name}"
            )
        if not field.metadata.get("secret"):
            group.add_argument(flag(field.name), **_argument(field, hints[field.name]))
    parser.secrets = [f for f in dataclasses.fields(cls) if f.metadata.get("secret")]
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    return given


class _Parser(argparse.ArgumentParser):
    """Says which options exist when one does not, in one line."""

    secrets: Sequence[dataclasses.Field[Any]] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].split("=")[0]
            if not name.startswith("-"):
                raise ConfigError(f"{name!r} is one too many; {self.prog} --help lists all options")
            flags = [s for s in self._option_string_actions if s.startswith("--")]
            raise ConfigError(_unknown("option", name, flags))
        return known

    def error(self, message: str) -> typing.NoReturn:
        raise ConfigError(message)

    def format_help(self) -> str:
        lines = [
            f"  {variable(field.name)}\n{' ' * 24}{field.metadata['help']}"
            for field in self.secrets
        ]
        return "\n".join([super().format_help(), "from the environment only:", *lines, ""])


def _argument(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    default = "off" if field.default in ("", (), None, False) else field.default
    text = f"{field.metadata['help']} [{default}; {variable(field.name)}]"
    argument: dict[str, Any] = {"help": text.replace("%", "%%")}
    kind = _kind(hint)
    if kind is bool:
        return argument | {"action": argparse.BooleanOptionalAction}
    if kind is tuple:
        return argument | {"action": "append", "metavar": "VALUE"}
    choices = _choices(hint)
    return argument | {"metavar": "|".join(choices) if choices else kind.__name__.upper()}


def _environment(
    fields: Mapping[str, dataclasses.Field[Any]], environ: Mapping[str, str]
) -> dict[str, str]:
    names = {variable(name): name for name in fields}
    for given in environ:
        # Other programs use the prefix too (a training stage, a Kubernetes service of this name),
        # so only what is nearly one of our names is taken for a typo.
        foreign = not given.startswith(PREFIX) or given in (*names, f"{PREFIX}CONFIG")
        if not foreign and difflib.get_close_matches(given, names, n=1, cutoff=0.9):
            raise ConfigError(_unknown("environment variable", given, names))
    return {name: environ[given] for given, name in names.items() if given in environ}


def _file(path: Path, fields: Mapping[str, dataclasses.Field[Any]]) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read --config {path}: {error}") from error
    given = {name.replace("-", "_"): value for name, value in content.items()}
    known = [name for name, field in fields.items() if not field.metadata.get("secret")]
    for name in given:
        if name in fields and name not in known:
            raise ConfigError(f"{name} in {path}: set {variable(name)} instead, or use a _file")
        if name not in known:
            raise ConfigError(_unknown(f"option in {path}:", name, known))
    return given


def _unknown(what: str, name: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3)
    if close:
        return f"unknown {what} {name}; did you mean {' or '.join(close)}?"
    return f"unknown {what} {name}; known: {', '.join(sorted(known))}"


def _kind(hint: Any) -> type:
    """The class behind ``int | None``, ``tuple[str, ...]``, ``Literal["a", "b"]``."""
    if typing.get_origin(hint) is types.UnionType:
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return str
    return typing.cast(type, typing.get_origin(hint) or hint)


def _choices(hint: Any) -> tuple[str, ...]:
    for part in (hint, *typing.get_args(hint)):
        if typing.get_origin(part) is typing.Literal:
            return typing.get_args(part)
    return ()


def _typed(hint: Any, value: Any, where: str) -> Any:
    kind, choices = _kind(hint), _choices(hint)
    if kind is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list):
            raise ConfigError(f"{where} is {value!r}, expected a list")
        return tuple(str(part).strip() for part in parts if str(part).strip())
    if kind is bool:
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if str(value).lower() not in known:
            raise ConfigError(f"{where} is {value!r}, expected true or false")
        return known[str(value).lower()]
    if choices and value not in choices:
        raise ConfigError(f"{where} is {value!r}, expected one of {', '.join(choices)}")
    if isinstance(value, str) and value.startswith("tcp://") and kind is int:
        raise ConfigError(
            f"{where} is {value!r}, which Kubernetes sets for a service called redraft; "
            f"put enableServiceLinks: false into the pod's spec"
        )
    if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
        raise ConfigError(f"{where} is {value!r}, expected {kind.__name__}")
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where} is {value!r}, expected {kind.__name__}") from None


def _check_least(field: dataclasses.Field[Any], value: Any, where: str) -> None:
    least = field.metadata.get("least")
    if least is not None and value is not None and value < least:
        raise ConfigError(f"{where} is {value}; the least is {least:g}")
