"""The command line: ``redraft`` and the commands that belong to no other package.

menu   the list of commands, and the program that runs one of them
"""

from redraft.server.cli.menu import COMMANDS, main

__all__ = ["COMMANDS", "main"]
