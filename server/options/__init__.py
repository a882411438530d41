"""Declares and reads options, and writes their ``--help``: each is a field of a dataclass.

    @dataclass(frozen=True)
    class Options:
        port: int = option("port to listen on", 8000, least=0)

    options = read(Options, "redraft serve", sys.argv[1:])

A value comes from the command line, the environment, the TOML or YAML file named by ``--config``,
or the field's default. The command line comes first and the default last; the program chooses the
order of environment and file (``file_wins``), and its ``--help`` shows it.
"""

from redraft.server.options.fields import flag, option, secret, variable
from redraft.server.options.key_files import read_key, read_secret
from redraft.server.options.reader import build, read
from redraft.server.options.values import ConfigError, read_file, read_yaml

__all__ = [
    "ConfigError",
    "build",
    "flag",
    "option",
    "read",
    "read_file",
    "read_key",
    "read_secret",
    "read_yaml",
    "secret",
    "variable",
]
