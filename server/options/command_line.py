"""The command line of a program, and its ``--help``."""

from __future__ import annotations

import argparse
import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any

from redraft.server.options.fields import default_of, fields_of, flag, is_secret, unknown, variable
from redraft.server.options.values import ConfigError, element_type


class CommandLine(argparse.ArgumentParser):
    """Parses the options of a dataclass. An error is one line that names close alternatives."""

    def __init__(
        self, cls: type[Any], program: str, prefix: str, file_wins: bool, about: str
    ) -> None:
        self._fields, self._prefix = fields_of(cls), prefix
        self._hints = typing.get_type_hints(cls)
        order = ["its environment variable", "the file given with --config"]
        if file_wins:
            order.reverse()
        super().__init__(
            prog=program,
            usage=" ".join([program, *self._positional_usage(), "[options]"]),
            description=about.strip() or inspect.getdoc(cls),
            epilog=f"An option comes from the command line, else {order[0]},\n"
            f"else {order[1]}, else its default.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,  # a new option could make an abbreviation ambiguous
        )
        self.add_argument(
            "--config",
            metavar="FILE",
            help=f"a TOML or YAML file with any of these options [{prefix}CONFIG]",
        )
        groups: dict[str, Any] = {"": self}
        for field in self._fields.values():
            title = field.metadata["group"]
            groups[title] = groups.get(title) or self.add_argument_group(title)
            if not is_secret(field):
                self._add(field, groups[title])

    def values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The values that the arguments set, by the name of the option."""
        parsed, surplus = self.parse_known_args(arguments)
        if surplus:
            name = surplus[0].split("=")[0]
            if not name.startswith("-"):
                raise ConfigError(f"{name!r} is one too many; {self.prog} --help lists all options")
            flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
            raise ConfigError(unknown("option", name, flags))
        return vars(parsed)

    def error(self, message: str) -> typing.NoReturn:
        raise ConfigError(message)

    def format_help(self) -> str:
        secrets = [
            f"  {variable(field.name, self._prefix)}\n{' ' * 24}{field.metadata['help']}"
            for field in self._fields.values()
            if is_secret(field)
        ]
        shown = ["from the environment only:", *secrets, ""] if secrets else []
        return "\n".join([super().format_help(), *shown])

    def _positional_usage(self) -> list[str]:
        shown = []
        for field in self._fields.values():
            if name := field.metadata.get("positional"):
                name += " ..." if self._takes_several(field) else ""
                shown.append(name if default_of(field) is MISSING else f"[{name}]")
        return shown

    def _takes_several(self, field: Field[Any]) -> bool:
        return element_type(self._hints[field.name])[0] in (tuple, Mapping)

    def _add(self, field: Field[Any], group: Any) -> None:
        several, hint = self._takes_several(field), self._hints[field.name]
        if name := field.metadata["positional"]:
            count, same = "*" if several else "?", f"same as {flag(field.name)}"
            self.add_argument(field.name, nargs=count, metavar=name, help=same)
        arguments: dict[str, Any] = {"help": self._help(field).replace("%", "%%")}
        if element_type(hint)[0] is bool:
            arguments["action"] = argparse.BooleanOptionalAction
        else:
            arguments["metavar"] = _metavar(hint)
        if several and field.metadata["repeat"]:
            arguments["action"] = "append"
        elif several:
            arguments |= {"action": "extend", "nargs": "*"}
        group.add_argument(flag(field.name), **arguments)

    def _help(self, field: Field[Any]) -> str:
        default = default_of(field)
        if default is MISSING:
            shown = "required"
        elif default is None:
            shown = "none"
        elif default is True:
            shown = "on"
        elif default is False or default in ("", (), {}):
            shown = "off"
        else:
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        return f"{field.metadata['help']} [{shown}; {variable(field.name, self._prefix)}]"


def _metavar(hint: Any) -> str:
    """The placeholder of a value in the help; of one element, where there are several."""
    kind, choices = element_type(hint)
    if kind is tuple:
        return _metavar(typing.get_args(hint)[0])
    return "KEY=VALUE" if kind is Mapping else "|".join(map(str, choices)) or kind.__name__.upper()
