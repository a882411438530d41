"""Declares, reads and explains options: one dataclass field is one option of a program.

    @dataclass(frozen=True)
    class Options:
        port: int = option("port to listen on", 8000, least=0)

    options = read(Options, "redraft serve", sys.argv[1:])

A value comes from the command line, the environment, the TOML or YAML file named by ``--config``,
or the field's default. The command line always wins and the default always loses; between the
environment and the file the program decides (``file_wins``), and its ``--help`` says which.
"""

from redraft.server.options.fields import flag, option, secret, variable
from redraft.server.options.reader import build, read
from redraft.server.options.values import ConfigError, read_file, read_yaml

__all__ = [
    "ConfigError",
    "build",
    "flag",
    "option",
    "read",
    "read_file",
    "read_yaml",
    "secret",
    "variable",
]
