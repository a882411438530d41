"""What an experiment asks: a server that is there, or the workbench, started for it.

The workbench is a model, the exact judge, critics that are exact or wrong in a known share of
their verdicts, and instructions drawn by seed. It is reached as everything else is: over HTTP, or
as a process.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.load.processes import NotStarted, exact, redraft

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
    drawn_to: Path | None = None
    seed: int = 0

    def draw(self, name: str, count: int, *more: str) -> Path:
        """A file of labelled instructions of the workbench; the same seed draws the same."""
        if self.drawn_to is None:
            raise NotStarted("only --workbench draws prompts; give them with --labelled FILE")
        path = self.drawn_to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "redraft.train",
            "tasks",
            "--labelled",
            "--split",
            "test",
        ]
        command += ["--count", str(count), "--seed", str(self.seed), "--output", str(path), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotStarted(f"{' '.join(command)} failed: {done.stderr[-600:]}")
        return path


@contextmanager
def deployed(options: argparse.Namespace, noises: Sequence[float] = ()) -> Iterator[Deployment]:
    """``noises``: of the critics that are wanted beside the model's own feedback."""
    if options.url:
        yield Deployment(options.url, options.model)
        return
    logs, model = options.out / "logs", options.workbench
    with ExitStack() as stack:
        judge = stack.enter_context(exact(0.0, options.seed, logs))
        critics = {noise: judge for noise in noises if not noise}
        for noise in sorted(set(noises) - {0.0}):
            critics[noise] = stack.enter_context(exact(noise, options.seed, logs))
        named = [f"{critic_name(noise)}={critic.url}" for noise, critic in critics.items()]
        more = ["--max-drafts-cap", str(MOST_DRAFTS)]
        more += [part for critic in named for part in ("--critic", critic)]
        name = model.resolve().name
        server = stack.enter_context(redraft(model, None, logs, more, name))
        weights = fingerprint(model)
        # Prompts of the user's own are graded as the user says.
        own = "" if options.labelled else judge.url
        yield Deployment(server.url, name, weights, own, options.out, options.seed)


def fingerprint(model: Path) -> str:
    """Of all the model's files: another model of the same name is another deployment."""
    digest = hashlib.sha256()
    for path in sorted(path for path in model.iterdir() if path.is_file()):
        digest.update(path.name.encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]
