"""vLLM's own OpenAI application over the same core: tools, logprobs, n and its other features."""

from __future__ import annotations

from argparse import Namespace
from types import SimpleNamespace
from typing import Any

from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.app import build_app

PATHS = ("/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize")


async def build_direct(llm: Any, args: Namespace) -> Any:
    """The ASGI application. Its errors are vLLM's; access control and limits are ours."""
    tasks = await llm.get_supported_tasks()
    app = build_app(args, tasks, llm.model_config)
    await init_app_state(llm, app.state, args, tasks)
    app.router.routes = [r for r in app.router.routes if getattr(r, "path", None) in PATHS]
    app.user_middleware.clear()
    # vLLM's handlers set should_exit when the engine is dead; VllmEngine restarts it instead.
    app.state.server = SimpleNamespace(should_exit=False)
    return app
