"""The options of every measurement that asks one OpenAI-compatible server."""

from __future__ import annotations

import argparse

from redraft.benchmarks.load.endpoint import Endpoint


def add(top: argparse.ArgumentParser) -> None:
    """How it is asked; the model is the measurement's own option."""
    top.add_argument("--concurrency", type=int, default=8)
    top.add_argument("--timeout-s", type=float, default=600.0)
    top.add_argument("--retries", type=int, default=4)
    top.add_argument("--key-variable", default="OPENAI_API_KEY", help="holds the API key")


def add_url(top: argparse.ArgumentParser) -> None:
    top.add_argument("--url", default="http://127.0.0.1:8000/v1")


def endpoint(options: argparse.Namespace, model: str, url: str | None = None) -> Endpoint:
    return Endpoint(
        url or options.url, model, options.key_variable, options.timeout_s, options.retries
    )
