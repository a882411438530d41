"""Feedback that can be read: the shares of a hand-made case, through a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the bench extra is not installed")

from redraft.benchmarks import readable
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.jsonl import LineError
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.loops import feedback
from tests.support.serving import answering


def reply(prompt: str, sampling: Sampling) -> str:
    """Feedback on "mute" cannot be read, that on "same" changes nothing."""
    if "### Improved Response" in prompt:
        return "draft" if "same" in prompt else "better"
    if "### Feedback" in prompt:
        return "no idea" if "mute" in prompt else feedback(4)
    return "draft"


def measure(directory: Path, rows: list[Any], *more: str) -> tuple[int, dict[str, Any]]:
    path = directory / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = ScriptedEngine(reply=reply)
    with answering(engine, Service(ServedModel(engine))) as served:
        arguments = ["--instructions", str(path), "--url", served.v1, "--model", "scripted"]
        code = readable.main([*arguments, "--out", str(directory), *more])
    return code, json.loads((directory / "readable.json").read_text())


def test_what_cannot_be_read_and_what_is_refined_are_shares_of_all(tmp_path: Path) -> None:
    rows = [{"prompt": f"{kind} {n}"} for kind in ("mute", "same", "good", "fine") for n in (1, 2)]
    code, result = measure(tmp_path, rows)
    assert code == 0
    figures = result["figures"]
    assert figures["unreadable"]["estimate"] == 25
    assert figures["unreadable_attempts"]["estimate"] == 40  # 4 of 10: each is asked for twice
    assert figures["refined"]["estimate"] == 50
    assert figures["unreadable"]["n"] == 8
    assert figures["scores"] == {"4": 6}
    assert figures["feedback_tokens"] > 3


def test_a_given_response_is_judged_in_place_of_a_draft(tmp_path: Path) -> None:
    code, result = measure(tmp_path, [{"prompt": "good", "response": "better"}])
    assert code == 0
    assert result["figures"]["refined"]["estimate"] == 0  # the refinement is the response again


def test_only_the_first_are_asked(tmp_path: Path) -> None:
    rows = [{"prompt": f"good {n}"} for n in range(5)]
    assert measure(tmp_path, rows, "--count", "2")[1]["figures"]["unreadable"]["n"] == 2


def test_a_line_without_a_prompt_is_named(tmp_path: Path) -> None:
    with pytest.raises(LineError, match="prompt"):
        measure(tmp_path, [{"text": "good"}])
