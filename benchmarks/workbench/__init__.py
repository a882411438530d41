"""The shipped redraft-workbench, measured through the server's API, and its model card."""

from __future__ import annotations

from redraft.benchmarks.commands.table import CommandTable

STEPS = CommandTable(
    "redraft bench workbench",
    "redraft.benchmarks.workbench",
    {
        "evaluate": "record a served model's answers to test instructions",
        "judge": "judge recorded answers one by one",
        "card": "write the model card from recorded answers",
        "measure": "all of it: record every answer, write the card",
    },
)

main = STEPS.run
