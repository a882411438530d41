"""The shipped model, measured through the server's API, and its model card."""

from __future__ import annotations

from collections.abc import Sequence

from redraft.benchmarks.commands.table import CommandTable

STEPS = CommandTable(
    "redraft bench workbench",
    "redraft.benchmarks.workbench",
    {
        "evaluate": (".evaluate", "record a served model's answers to test instructions"),
        "judge": (".judge", "judge recorded answers one by one"),
        "card": (".card", "write the model card from recorded answers"),
        "measure": (".measure", "all of it: record every answer, write the card"),
    },
)


def main(arguments: Sequence[str]) -> int:
    return STEPS.run(arguments)
