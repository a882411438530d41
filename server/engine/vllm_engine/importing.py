"""The first import of vLLM, in a thread of its own.

What is imported keeps the frames of its import for good; in the thread that builds an engine they
would keep that engine, after its death, too.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def torch_and_vllm() -> tuple[Any, Any, Any]:
    """torch, and the classes of the engine and of its settings."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_imported).result()


def _imported() -> tuple[Any, Any, Any]:
    warnings.filterwarnings("ignore", module=r"vllm\.")
    import torch
    from vllm.engine.arg_utils import AsyncEngineArgs

    from redraft.server.engine.vllm_engine.form_trial import TryingLLM

    return torch, TryingLLM, AsyncEngineArgs
