"""Converts text from the command line, the environment or a file to an option's type."""

from __future__ import annotations

import collections.abc
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class ConfigError(ValueError):
    """An option that cannot be used; the message says what was expected."""


def read_file(path: Path) -> dict[str, Any]:
    """The content of a YAML or JSON file, by its suffix, and of any other as TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix in (".yaml", ".yml"):
            content = read_yaml(text, str(path))
        else:
            content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read --config {path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}, expected options as key: value")
    return content


def read_yaml(text: str, where: str) -> Any:
    """YAML 1.1, except that 1e-5 is a number, which the standard takes for text."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{where} is YAML, which needs PyYAML; run: redraft install train, or write it as TOML"
        ) from error

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:\d[\d_]*)(?:\.\d*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read {where}: {' '.join(str(error).split())}") from error


def element_type(hint: Any) -> tuple[type, tuple[Any, ...]]:
    """The class behind ``int | None``, ``tuple[str, ...]`` or ``Literal["a", "b"]``, and the
    choices of the last."""
    if _is_union(hint):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        return type(choices[0]), choices
    origin: Any = typing.get_origin(hint) or hint
    return (Mapping if origin is collections.abc.Mapping else origin), ()


def typed(hint: Any, value: Any, where: str, shorthand: str = "") -> Any:
    """``value`` as the type of an option; ``where`` names the option in an error."""
    kind, choices = element_type(hint)
    is_none = value is None or (value == "none" and "none" not in choices)
    if is_none and _is_union(hint):
        return None
    if kind is Mapping:
        return {} if is_none else _mapping(value, where, shorthand)
    if kind is tuple:
        return _tuple(typing.get_args(hint)[0], value, where, shorthand)
    if kind is bool:
        if str(value).lower() not in _TRUTH:
            raise ConfigError(f"{where} is {value!r}, expected true or false")
        return _TRUTH[str(value).lower()]
    converted = _converted(kind, value)
    if choices and converted not in choices:
        expected = ", ".join(map(str, choices))
        raise ConfigError(f"{where} is {value!r}, expected one of {expected}")
    if converted is None:
        raise ConfigError(f"{where} is {value!r}, {_expected(kind, value)}")
    return converted


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def _converted(kind: type, value: Any) -> Any:
    """None when ``value`` is nothing of that kind."""
    if isinstance(value, bool) or value is None:
        return None
    if kind in (str, Path) and not isinstance(value, str | Path):
        return None
    if kind is int and isinstance(value, float) and not value.is_integer():
        return None
    try:
        return kind(value)
    except (TypeError, ValueError):
        return None


def _expected(kind: type, value: Any) -> str:
    if kind is int and isinstance(value, str) and value.startswith("tcp://"):
        return (
            "which Kubernetes sets for a service called redraft; put enableServiceLinks: false "
            "into the pod's spec"
        )
    return f"expected {kind.__name__}"


def _tuple(hint: Any, value: Any, where: str, shorthand: str) -> tuple[Any, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ConfigError(f"{where} is {value!r}, expected a list")
    if element_type(hint)[0] is not str:
        return tuple(typed(hint, part, where, shorthand) for part in parts)
    texts = (str(part).strip() for part in parts)
    return tuple(typed(hint, text, where) for text in texts if text)


def _mapping(value: Any, where: str, shorthand: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    pairs = value.split(",") if isinstance(value, str) else value
    if not isinstance(pairs, list) or not all(isinstance(pair, str) for pair in pairs):
        raise ConfigError(f"{where} is {value!r}, expected KEY=VALUE or a table")
    if pairs == ["none"]:
        return {}
    if shorthand and len(pairs) == 1 and "=" not in pairs[0]:
        return {shorthand: pairs[0]}
    if bad := [pair for pair in pairs if "=" not in pair]:
        raise ConfigError(f"{where} has {bad[0]!r}, expected KEY=VALUE")
    split = (pair.split("=", 1) for pair in pairs)
    return {key: _plain(text, where) for key, text in split}


def _plain(text: str, where: str) -> Any:
    """The value of KEY=VALUE: a number, a truth value, null, a list or table, else text."""
    if text.lower() in ("true", "yes", "false", "no"):
        return _TRUTH[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return read_yaml(text, where) if text.startswith(("[", "{")) else text
