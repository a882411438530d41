"""Says whether a model can be served here, and what to do where it cannot. Run:

    redraft doctor
    redraft doctor MODEL --max-model-len 4096

Takes the options of ``redraft serve``. Fetches no weights, and starts no engine. Exit codes: 0 when
the model can be served, 1 when something is wrong, 2 for options that do not exist.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft import __version__
from redraft.server import options
from redraft.server.build import adapters, build, names
from redraft.server.build.engines import vllm_settings
from redraft.server.build.fetching import Fetching
from redraft.server.build.names import ModelFiles
from redraft.server.cli.adapters import adapter_findings
from redraft.server.cli.beside import beside_findings
from redraft.server.cli.diagnosis import Diagnosis, page
from redraft.server.cli.fitness import model_findings
from redraft.server.cli.machine import machine_findings, version_of
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine import start
from redraft.server.options import ConfigError, option
from redraft.server.refine.manifest import ManifestError


@dataclass(frozen=True)
class DoctorOptions(ServerConfig):
    """Says whether a model can be served here, and what to do where it cannot.

    Takes the options of redraft serve, fetches no weights and starts no engine.
    """

    json: bool = option("one JSON object instead of a page", False)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        config = options.read(DoctorOptions, "redraft doctor", arguments)
    except ConfigError as error:
        print(f"redraft doctor: {error}", file=sys.stderr)
        return 2
    machine = list(machine_findings(config))
    name, model = _model(config)
    model += beside_findings(config)
    wrong = [finding for finding in (*machine, *model) if finding.wrong]
    if config.json:
        report = {
            "model": name,
            "can_be_served": not wrong,
            "machine": [dataclasses.asdict(finding) for finding in machine],
            "findings": [dataclasses.asdict(finding) for finding in model],
        }
        print(json.dumps(report, indent=2))
    else:
        print(page(f"Redraft {__version__} on this machine", machine))
        print(page(f"{'model' if config.engine == 'vllm' else 'engine'} {name}", model))
        print(_verdict(name, len(wrong)))
    return 1 if wrong else 0


def _model(config: ServerConfig) -> tuple[str, list[Diagnosis]]:
    """The name of what is served, and what is found about it."""
    if config.engine != "vllm":
        return config.engine, list(_in_findings(lambda: asyncio.run(_elsewhere(config))))
    on_cpu = version_of("vllm") is None or start.on_cpu()
    to_come: dict[Path, int] = {}
    served = config.model or names.DEFAULT
    said: list[str] = []

    def look(name: str) -> ModelFiles:
        files = names.look(name, config.cache_dir, Fetching(said.append), on_cpu=on_cpu)
        to_come[files.directory.resolve()] = files.bytes_to_come
        return files

    async def find(name: str) -> ModelFiles:
        return look(name)

    def findings() -> Iterator[Diagnosis]:
        nonlocal served
        files = look(config.model)
        if not config.model and files.name != names.DEFAULT:
            served = files.name
            yield _instead(said)
        try:
            lineup = asyncio.run(adapters.read(config, files, find))
        except ManifestError:
            if not (files.directory / "config.json").is_file():
                raise
            # A whole model: the findings have its manifest among the rest.
            yield from model_findings(files, config, vllm_settings(config, files), on_cpu)
            return
        if (base := lineup.base) is not None:
            yield from model_findings(base, config, vllm_settings(config, base), on_cpu)
            yield from adapter_findings(lineup, base.directory, to_come)

    found = list(_in_findings(findings))
    return served, found


def _in_findings(look: Callable[[], Iterable[Diagnosis]]) -> Iterator[Diagnosis]:
    """What it finds; an error is the last of it."""
    try:
        yield from look()
    except (ConfigError, EngineError, ManifestError) as error:
        yield Diagnosis.of_error("model", error)
    except ModuleNotFoundError as error:
        missing = f"to look at it takes {error.name}, which comes with vLLM"
        yield Diagnosis("model", missing, "run: redraft install cpu", wrong=True)


def _instead(said: Sequence[str]) -> Diagnosis:
    """Why another model than the default is served; what to do comes after the semicolon."""
    why, _, remedy = said[-1].partition("; ")
    return Diagnosis("served", why, remedy)


async def _elsewhere(config: ServerConfig) -> list[Diagnosis]:
    """An engine that runs elsewhere is asked what it has."""
    alone = dataclasses.replace(
        config, checks=(), critic=(), feedback_request="", refinement_request=""
    )
    engines = await build(alone, _quiet)
    try:
        engine = engines.model.engine
        window = f"{engine.window} tokens" if engine.window else "unknown"
        tokens = "token ids" if engine.has_tokens else "text only"
        return [
            Diagnosis("model", engine.model),
            Diagnosis("window", window),
            Diagnosis("phases", f"{tokens}; style {engines.model.style}"),
        ]
    finally:
        await engines.close()


def _quiet(line: str) -> None:
    """Progress is not for this page."""


def _verdict(name: str, num_wrong: int) -> str:
    if num_wrong:
        things = "one thing is" if num_wrong == 1 else f"{num_wrong} things are"
        return f"{name} cannot be served: {things} wrong"
    return f"{name} can be served"
