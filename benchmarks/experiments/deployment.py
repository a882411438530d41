"""The deployment an experiment asks: a running server, or the workbench, started for it.

The workbench is a model, the exact judge, critics that are exact or wrong in a known share of
their verdicts, and instructions drawn by seed. Of prompts with constraints (``--match checks``) the
critics know these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.grading.constrained import read_prompts
from redraft.benchmarks.grading.labelled import LabelledPrompt
from redraft.benchmarks.load.servers import exact, redraft
from redraft.server import jsonl
from redraft.server.options import ConfigError
from redraft.train.workbench.tasks import sample

PAPER_DRAFTS = 16  # what the paper re-ranks; a server allows 8 unless told otherwise
MOST_DRAFTS = 32


def critic_name(noise: float) -> str:
    return f"noisy-{noise:g}" if noise else "exact"


@dataclass(frozen=True, slots=True)
class Deployment:
    url: str
    model: str
    fingerprint: str = ""  # of the weights, where they are at hand: names can be reused
    judge: str = ""  # of its own prompts


@contextmanager
def deployed(options: ExperimentOptions, noises: Sequence[float] = ()) -> Iterator[Deployment]:
    """The server to ask. ``noises``: a critic with each of these error rates is started as well."""
    if options.url:
        assert options.model, "a server's model has a name"
        yield Deployment(options.url, options.model)
        return
    assert options.workbench, "without a server there is a model to serve"
    logs, model, known = options.out / "logs", options.workbench, None
    if options.labelled and options.match == "checks":
        known = options.out / "constraints.jsonl"
        jsonl.write(known, (each.to_instruction() for each in read_prompts(options.labelled)))
    with ExitStack() as stack:
        judge = stack.enter_context(exact(0.0, options.seed, logs, known))
        critics = {noise: judge for noise in noises if not noise}
        for noise in sorted(set(noises) - {0.0}):
            critics[noise] = stack.enter_context(exact(noise, options.seed, logs, known))
        more = ["--max-drafts-cap", str(MOST_DRAFTS)]
        for noise, critic in critics.items():
            more += ["--critic", f"{critic_name(noise)}={critic.url}"]
        name = model.resolve().name
        server = stack.enter_context(redraft(model, None, logs, more, name))
        # Prompts of the user's own are graded as the user says.
        own_judge = "" if options.labelled else judge.url
        yield Deployment(server.url, name, fingerprint(model), own_judge)


def draw(path: Path, count: int, seed: int, held_out: bool = False) -> list[LabelledPrompt]:
    """Draw test instructions of the workbench and write them to ``path``. They have no answers:
    its judge decides what is right."""
    try:
        tasks = sample("test", None, count, seed, held_out)
    except ValueError as error:
        raise ConfigError(f"--count {count}: {error}") from error
    jsonl.write(path, ({"prompt": task.instruction, "group": task.family} for task in tasks))
    return [LabelledPrompt(task.instruction, group=task.family) for task in tasks]


def fingerprint(model: Path) -> str:
    """A hash of the model's files, to tell models of the same name apart."""
    digest = hashlib.sha256()
    for path in sorted(path for path in model.iterdir() if path.is_file()):
        digest.update(path.name.encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]
