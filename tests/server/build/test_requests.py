"""An operator's own words for the prompted style, in files."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from redraft.server.build import engines
from redraft.server.build.requests import requests_of
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.options import ConfigError
from redraft.server.refine.loop import refine
from redraft.server.refine.policy import Policy
from tests.support.loops import QUESTION, feedback


def config(directory: Path, **files: str) -> ServerConfig:
    options: dict[str, Any] = {}
    for name, words in files.items():
        (directory / name).write_text(words, encoding="utf-8")
        options[f"{name}_request"] = str(directory / name)
    return ServerConfig(engine="scripted", **options)


def test_a_model_is_asked_in_the_words_of_the_files(tmp_path: Path) -> None:
    files = {"feedback": "Judge {response} as {instruction}", "refinement": "Again, {feedback}"}
    engine = ScriptedEngine("Lyon {0}", feedback(3), "Paris")
    model = ServedModel(engine, requests=requests_of(config(tmp_path, **files)))

    async def answer() -> None:
        async for _ in refine(model.asker(QUESTION.instruction), QUESTION, Policy()):
            pass

    asyncio.run(answer())
    _, judged, refined = (call.text for call in engine.history)
    assert re.search(r"Judge \[begin \w+]\nLyon \{0}\n\[end \w+] as", judged)
    assert f"Again, {feedback(3)}" in refined


def test_without_files_the_words_are_the_papers() -> None:
    requests = requests_of(ServerConfig(engine="scripted"))
    assert "Overall Score: [[n]]" in requests.for_feedback("a", "b")


def test_a_wrong_placeholder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has the placeholder \{answer\}"):
        requests_of(config(tmp_path, feedback="{instruction} {response} {answer}"))


def test_a_file_that_is_not_there_stops_the_start() -> None:
    missing = ServerConfig(engine="scripted", refinement_request="/nowhere/words.txt")
    with pytest.raises(ConfigError, match="No such file"):
        asyncio.run(engines.build(missing, lambda line: None))
