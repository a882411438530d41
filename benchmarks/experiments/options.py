"""The options that all experiments share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.grading.grading import PromptOptions
from redraft.server.options import ConfigError, option


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions(PromptOptions):
    url: str | None = option("of a Redraft server, /v1 included", None)
    workbench: Path | None = option("model to serve; all else is started, too", None)
    model: str | None = option("its name on the server at --url", None)
    labelled: Path | None = option("prompts; none: drawn from the workbench", None)
    count: int = option("prompts to draw from the workbench", 200, least=1)
    out: Path = option("folder for the results", Path("runs/experiments"))

    def __post_init__(self) -> None:
        if (self.url is None) == (self.workbench is None):
            raise ConfigError("give either --url URL or --workbench MODEL")
        if self.url and not (self.model and self.labelled):
            raise ConfigError("--url needs --model NAME and --labelled FILE")
