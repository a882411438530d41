"""Generate a system's answers to instructions; those that are there already stay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import ServerOptions, read
from redraft.benchmarks.output.results import Result, publish
from redraft.benchmarks.winrates.alpaca import read_instructions, write_answers
from redraft.benchmarks.winrates.answering import Asking, answer_all
from redraft.server.options import ConfigError, option


@dataclass(frozen=True, kw_only=True)
class AnswerOptions(ServerOptions):
    instructions: Path = option(
        "a reference's answers, or .jsonl with an instruction or a prompt in each line"
    )
    limit: int | None = option("only so many instructions", None, least=1)
    max_tokens: int = option("of an answer", 2048, least=1)
    temperature: float = option("of an answer", 0.0)
    seed: int = option("of an answer", 0)
    refine: str = option("refine options, as JSON", "{}")
    out: Path = option("folder for the results", Path("runs/winrate"))


def main(arguments: Sequence[str]) -> int:
    options = read(AnswerOptions, "winrate answer", arguments, __doc__)
    try:
        refine = json.loads(options.refine)
    except ValueError as error:
        raise ConfigError(f"--refine is {options.refine!r}, expected a JSON object") from error
    asking = Asking(options.max_tokens, options.temperature, options.seed, refine)
    instructions = read_instructions(options.instructions)[: options.limit]
    endpoint = options.endpoint(options.url, options.model)
    path = options.out / "answers.jsonl"
    records, failures = asyncio.run(
        answer_all(instructions, endpoint, asking, path, options.concurrency)
    )
    write_answers(options.out / "answers.json", records, options.model)
    spent = [(r["usage"] or {}).get("completion_tokens", 0) for r in records]
    figures = {
        "answers": len(records),
        "cut_short": sum(r["finish_reason"] == "length" for r in records),
        "mean_characters": sum(len(r["output"]) for r in records) / max(1, len(records)),
        "mean_completion_tokens": sum(spent) / max(1, len(spent)),
    }
    about = "Answers of one system, by which others can be judged or which can be judged."
    publish(Result("answering", about, asdict(options), figures, failures), options.out)
    return 1 if failures else 0
