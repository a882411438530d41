"""IFEval's prompts as instructions with checks, as the trainer reads them.

    redraft bench ifeval-instructions --output ifeval.jsonl
    redraft train mending --data ifeval.jsonl --model DIR/stage1 --output DIR/mending

They are to measure with. Nothing may be trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.grading.constrained import read_prompts
from redraft.server import jsonl
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class IfevalInstructionsOptions:
    output: Path = option("file for the instructions (.jsonl)")


def main(arguments: Sequence[str]) -> int:
    options = read(IfevalInstructionsOptions, "ifeval-instructions", arguments, __doc__)
    count = jsonl.write(options.output, (each.to_instruction() for each in read_prompts(IFEVAL)))
    print(f"ifeval-instructions: {count} in {options.output}")
    return 0
