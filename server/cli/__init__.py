"""The command line: ``redraft`` and the commands that belong to no other package.

menu            the list of commands, and the program that runs one of them
models          redraft models: what is at hand
fetch           redraft fetch: a model, and where it is
keys            redraft keys: a new API key and its line in a key file
doctor          redraft doctor: whether a model can be served, and what to do where it cannot
machine         what the doctor finds on the machine
fitness         what it finds in the model
chat_template   what it finds in the tokenizer and the chat template
adapters        what it finds in the adapters
diagnosis       one line of its page
"""

from redraft.server.cli.menu import COMMANDS, main

__all__ = ["COMMANDS", "main"]
