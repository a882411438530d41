"""The clients of the table, and what each of them is asked to do.

How to add one: a line in ``constraints.txt``, a row in ``CLIENTS``, a program in ``programs/``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
FEATURES = ("chat", "stream", "usage", "tools", "tools, streamed", "structured output")
STRUCTURE = ("refined", "direct")
ERRORS = ("context overflow", "wrong key", "rate limit")


@dataclass(frozen=True)
class Client:
    name: str  # as its makers write it
    program: str
    packages: tuple[str, ...]  # the first is the client's own
    structure: str = ""  # the program that asks a real model for an object

    @property
    def folder(self) -> str:
        return self.program.partition(".")[0]

    @property
    def needs_node(self) -> bool:
        return self.program.endswith(".mjs")

    @property
    def version(self) -> str:
        return pins()[self.packages[0]].partition("==")[2]

    @property
    def requirements(self) -> list[str]:
        return [pins()[package] for package in self.packages]


CLIENTS = (
    Client("OpenAI SDK", "openai_sdk.py", ("openai",), "openai_sdk_structure.py"),
    Client("OpenAI Agents SDK", "openai_agents.py", ("openai-agents",)),
    Client(
        "LangChain", "langchain_openai_chat.py", ("langchain-openai",), "langchain_structure.py"
    ),
    Client("LiteLLM", "litellm_completion.py", ("litellm",)),
    Client(
        "Pydantic AI", "pydantic_ai_agent.py", ("pydantic-ai-slim",), "pydantic_ai_structure.py"
    ),
    Client("Instructor", "instructor_create.py", ("instructor",), "instructor_structure.py"),
    Client("llm", "llm_prompt.py", ("llm",)),
    Client("DSPy", "dspy_predict.py", ("dspy",)),
    Client(
        "AI SDK", "ai_sdk.mjs", ("ai", "@ai-sdk/openai-compatible", "zod"), "ai_sdk_structure.mjs"
    ),
    Client("GuideLLM", "guidellm_run.py", ("guidellm",)),
)


def pins() -> dict[str, str]:
    """Package -> its requirement, from the constraints."""
    lines = (HERE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {re.split(r"==|\[", line)[0]: line for line in lines if line and line[0] != "#"}
