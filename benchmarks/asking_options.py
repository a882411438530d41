"""The options of every measurement that asks labelled prompts in several ways."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import labelled
from benchmarks.endpoint import Endpoint
from benchmarks.ways import Manner


def add(top: argparse.ArgumentParser, out: str) -> None:
    labelled.add_options(top)
    top.add_argument("--temperature", type=float, default=0.7, help="of drafts")
    top.add_argument("--limit", type=int, help="only so many prompts")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument("--concurrency", type=int, default=8)
    top.add_argument("--timeout-s", type=float, default=600.0)
    top.add_argument("--retries", type=int, default=4)
    top.add_argument("--key-variable", default="OPENAI_API_KEY", help="holds the API key")
    top.add_argument("--max-failed", type=float, default=0.01, help="share that may fail")
    top.add_argument("--out", type=Path, default=Path(out))


def manner(options: argparse.Namespace, url: str, model: str, deployment: str = "") -> Manner:
    endpoint = Endpoint(url, model, options.key_variable, options.timeout_s, options.retries)
    return Manner(endpoint, options.temperature, options.seed, options.concurrency, deployment)
