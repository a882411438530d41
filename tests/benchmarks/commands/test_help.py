"""Every command tells its options after the bare install, without the libraries that measuring
takes.
Spans: benchmarks"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache

import pytest

from redraft.benchmarks import tasks, winrate
from redraft.benchmarks.__main__ import COMMANDS
from redraft.benchmarks.experiments import EXPERIMENTS
from redraft.benchmarks.workbench import STEPS

TABLES = {
    (): COMMANDS,
    ("experiments",): EXPERIMENTS,
    ("tasks",): tasks.STEPS,
    ("winrate",): winrate.STEPS,
    ("workbench",): STEPS,
}
NAMED = [(*path, name) for path, table in TABLES.items() for name in table.commands]
HEAVY = (
    *("numpy", "matplotlib", "sklearn", "aiohttp", "psutil", "lm_eval", "yaml", "torch"),
    *("transformers", "datasets", "tqdm", "vllm", "trl", "peft", "pyarrow", "locust"),
)
# Prints, for each command, its exit code and what it wrote.
ASK = """
import contextlib, importlib.abc, io, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"no {name}", name=name)

HEAVY, commands = json.loads(sys.argv[1])
sys.meta_path.insert(0, Blocked())
from redraft.benchmarks.__main__ import main
answers = []
for command in commands:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            code = main([*command, "--help"])
        except SystemExit as ended:
            code = ended.code
    answers.append([code, output.getvalue()])
print(json.dumps(answers))
"""


@cache
def answers() -> dict[tuple[str, ...], tuple[int, str]]:
    """The exit code and the help of every command, asked in one process."""
    command = [sys.executable, "-c", ASK, json.dumps([HEAVY, [*TABLES, *NAMED]])]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    replies = map(tuple, json.loads(asked.stdout))
    return dict(zip([*TABLES, *NAMED], replies, strict=True))


@pytest.mark.parametrize("command", NAMED, ids=" ".join)
def test_a_command_explains_its_options(command: tuple[str, ...]) -> None:
    code, text = answers()[command]
    assert code == 0
    assert text.startswith(f"usage: redraft bench {' '.join(command)} ")
    assert command in TABLES or "else its default." in text


@pytest.mark.parametrize("command", TABLES, ids=" ".join)
def test_a_table_lists_its_commands(command: tuple[str, ...]) -> None:
    code, text = answers()[command]
    assert code == 0
    for name, about in TABLES[command].commands.items():
        assert re.search(rf"^  {name} +{re.escape(about)}$", text, re.MULTILINE)
