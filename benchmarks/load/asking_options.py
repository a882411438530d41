"""The options of every measurement that asks labelled prompts in several ways."""

from __future__ import annotations

import argparse
from pathlib import Path

from redraft.benchmarks.grading import labelled
from redraft.benchmarks.grading.ways import Manner
from redraft.benchmarks.load import endpoint_options


def add(top: argparse.ArgumentParser, out: str) -> None:
    labelled.add_options(top)
    top.add_argument("--temperature", type=float, default=0.7, help="of drafts")
    top.add_argument("--limit", type=int, help="only so many prompts")
    top.add_argument("--seed", type=int, default=0)
    endpoint_options.add(top)
    top.add_argument("--max-failed", type=float, default=0.01, help="share that may fail")
    top.add_argument("--out", type=Path, default=Path(out))


def manner(options: argparse.Namespace, url: str, model: str, deployment: str = "") -> Manner:
    endpoint = endpoint_options.endpoint(options, model, url)
    return Manner(endpoint, options.temperature, options.seed, options.concurrency, deployment)
