"""The program from its first line to its exit code."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from redraft.server.engine.base import Call
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.refine import manifest
from redraft.server.run import event_loop, main
from tests.support import tiny_model
from tests.support.faults import fault
from tests.support.loops import FORMAT
from tests.support.program import Program, running
from tests.support.serving import Pause, Served, answering

Refuses = Callable[..., str]


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Iterator[Refuses]:
    """Starts a server that must not start; tells its one line."""

    def start(*arguments: str) -> str:
        assert main(["--port", "0", *arguments]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1, said
        assert said[0].startswith("redraft serve: ")
        return said[0]

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield start
    root.handlers[:], root.level = handlers, level


def test_it_prints_its_page_and_a_command_that_works() -> None:
    with running("--engine", "scripted") as program:
        assert httpx.get(f"{program.url}/health", timeout=60).json() == {"status": "alive"}
        shown = program.output
        program.until("-d ")
        command = program.output[program.output.index("curl ") :].strip()
        answered = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=True
        )
        assert json.loads(answered.stdout)["trace"], shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_code_0(number: signal.Signals) -> None:
    with running("--engine", "scripted") as program:
        assert program.url
        program.signal(number)
        assert program.wait() == 0
        assert program.output.rstrip().endswith("stopped")


def test_a_hangup_reads_the_keys_again_and_loses_no_request(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice:a")
    with running("--engine", "scripted", "--api-keys-file", str(keys)) as program:
        bob = {"Authorization": "Bearer b"}
        assert httpx.get(f"{program.url}/v1/models", headers=bob, timeout=60).status_code == 401
        keys.write_text("alice:a\nbob:b")
        program.signal(signal.SIGHUP)
        program.until("read again, 1 before and 2 now")
        assert httpx.get(f"{program.url}/v1/models", headers=bob, timeout=60).status_code == 200
        program.signal(signal.SIGTERM)
        assert program.wait() == 0


def test_a_hangup_of_a_terminal_that_was_closed_stops_the_server(root: Path) -> None:
    terminal, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "redraft.server", "--port", "0", "--engine", "scripted"],
        cwd=root,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as server:
        os.close(theirs)
        assert server.stdout
        next(line for line in server.stdout if "-d" in line)
        os.close(terminal)
        server.send_signal(signal.SIGHUP)
        assert server.wait(120) == 0


def test_a_server_nobody_reads_along_with_ends_well_too(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "redraft.server", "--port", "0", "--engine", "scripted"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout
        next(line for line in server.stdout if "-d" in line)
        server.stdout.close()
        server.terminate()
        assert server.wait(120) == 0


def ask(url: str, client: httpx.Client) -> AbstractContextManager[httpx.Response]:
    """A refinement, streamed."""
    return client.stream("POST", f"{url}/v1/refine", json={"prompt": "Hello?", "stream": True})


@contextmanager
def held_in_its_feedback(*more: str) -> Iterator[tuple[Program, Pause, Served]]:
    """A server before another whose engine writes the draft, and stops within the feedback."""
    pause = Pause("")
    engine = ScriptedEngine(reply=demo_reply)

    async def gate(call: Call, position: int) -> None:
        if len(engine.history) == 2:
            await pause(call, position)

    engine.gate = gate
    with answering(engine) as behind:
        upstream = ("--upstream", behind.v1, "--upstream-model", "scripted:direct")
        with running("--engine", "http", *upstream, *more) as program:
            yield program, pause, behind


@fault(
    "Server",
    "SIGTERM while a loop runs",
    sees="its answer; who comes now an error, 503 with `Retry-After`",
    lost="nothing",
    recovers="ends with code 0 when running loops have ended",
)
def test_sigterm_lets_a_running_loop_finish_and_takes_no_new_one() -> None:
    with (
        held_in_its_feedback("--grace-s", "600") as (program, pause, behind),
        httpx.Client(timeout=60) as client,
    ):
        with ask(program.url, client) as response:
            pause.wait_reached()
            program.signal(signal.SIGTERM)
            program.until("stopping: 1 running")
            assert client.get(f"{program.url}/health").status_code == 200
            assert client.get(f"{program.url}/ready").status_code == 503
            refused = client.post(f"{program.url}/v1/refine", json={"prompt": "Hello?"})
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            pause.release(behind)
            rest = list(response.iter_lines())
        assert any("max_iterations" in line for line in rest), rest[-5:]
        assert program.wait() == 0


@fault(
    "Server",
    "SIGTERM, and a loop that outlasts `--grace-s`",
    sees="its best, with `stop_reason` `draining`",
    lost="the phases that were to come",
    recovers="ends with code 0",
)
def test_at_the_grace_limit_a_running_loop_answers_with_its_best() -> None:
    with (
        held_in_its_feedback("--grace-s", "0.1") as (program, pause, _),
        httpx.Client(timeout=60) as client,
    ):
        with ask(program.url, client) as response:
            pause.wait_reached()
            program.signal(signal.SIGTERM)
            rest = list(response.iter_lines())
        assert any("draining" in line for line in rest), rest[-5:]
        assert program.wait() == 0


@fault(
    "Server",
    "A second SIGTERM while it stops",
    sees="its answer, as after the first",
    lost="nothing",
    recovers="ends with code 0 when running loops have ended, at the latest at `--grace-s`",
)
def test_a_second_sigterm_changes_nothing() -> None:
    with (
        held_in_its_feedback("--grace-s", "600") as (program, pause, behind),
        httpx.Client(timeout=60) as client,
    ):
        with ask(program.url, client) as response:
            pause.wait_reached()
            program.signal(signal.SIGTERM)
            program.until("stopping: 1 running")
            program.signal(signal.SIGTERM)
            assert client.get(f"{program.url}/health").status_code == 200
            pause.release(behind)
            rest = list(response.iter_lines())
        assert any("max_iterations" in line for line in rest), rest[-5:]
        assert program.wait() == 0


@fault(
    "Server",
    "A second SIGINT while it stops",
    sees="a broken connection",
    lost="what was running",
    recovers="does not: it ends at once, with code 130",
)
def test_a_second_sigint_does_not_wait() -> None:
    slow = ("--engine", "scripted", "--tokens-per-second", "0.01", "--keep-alive-s", "0.1")
    with (
        running(*slow) as program,
        httpx.Client(timeout=60) as client,
        ask(program.url, client),
    ):
        program.signal(signal.SIGINT)
        program.until("stopping: 1 running")
        program.signal(signal.SIGINT)
        assert program.wait() == 130


def test_a_port_in_use_is_one_line(refuses: Refuses) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = refuses("--engine", "scripted", "--port", port)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in said


def test_the_port_is_taken_before_the_model_is_looked_at(refuses: Refuses) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = refuses("--model", "nowhere", "--port", str(other.getsockname()[1]))
    assert "Address already in use" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prot", "1"], "did you mean --port"),
        (
            ["--engine", "scripted", "--open-access", "--host", "no.such.host.invalid"],
            "cannot listen on no.such",
        ),
        (["--engine", "scripted", "--host", "0.0.0.0"], "--open-access"),
        (["--engine", "scripted", "--api-keys-file", "nowhere"], "cannot read the key file"),
        (["--engine", "scripted", "--traces", "/dev/null/x"], "cannot write traces"),
        pytest.param(
            ["--engine", "http", "--upstream", "http://127.0.0.1:9"],
            "engine 'default' at http://127.0.0.1:9",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--engine", "scripted", "--critic", "a=http://127.0.0.1:9"],
            "engine 'a' at http://127.0.0.1:9",
            marks=pytest.mark.slow,
        ),
        (["--engine", "scripted", "--style", "srt"], "--style srt needs the redraft.json"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    arguments: list[str], said: str, refuses: Refuses
) -> None:
    assert said in refuses(*arguments)


def test_a_manifest_of_another_tokenizer_is_refused(tmp_path: Path, refuses: Refuses) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    manifest.write(tmp_path, FORMAT)
    tokenizer.write_text("{} ")
    said = refuses(str(tmp_path))
    assert "is not the one the model was trained with" in said
    assert "run 'redraft train merge' again" in said


@pytest.mark.vllm
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_vllm_a_signal_to_all_processes_lets_a_running_loop_finish(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Ctrl-C in a terminal reaches every process of the server, and so does systemd's SIGTERM;
    the engine must outlive both for the loop that runs to end well."""
    model = tiny_model.build(tmp_path)
    with running(str(model)) as program, httpx.Client(timeout=120) as client:
        asked = {"prompt": "Hello?", "stream": True, "max_tokens": 300}
        with client.stream("POST", f"{program.url}/v1/refine", json=asked) as response:
            lines = response.iter_lines()
            next(lines)
            program.signal_group(number)
            events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        assert events[-1]["type"] == "refine.completed", events[-1]
        assert events[-1]["refine"]["stop_reason"] != "engine_failure"
        assert program.wait() == 0
        assert "importing vLLM" in program.output
        assert "Traceback" not in program.output
        assert "ERROR" not in program.output


def kill_the_engine(program: Program) -> None:
    import psutil  # comes with vLLM

    children = psutil.Process(program.process.pid).children(recursive=True)
    assert children
    for child in children:
        child.kill()


@pytest.mark.vllm
def test_engines_that_died_leave_no_descriptor_in_the_server(tmp_path: Path) -> None:
    import psutil

    model = tiny_model.build(tmp_path)
    with running(str(model)) as program:
        server = psutil.Process(program.process.pid)
        asked = {"prompt": "Hello?", "max_tokens": 8}
        assert httpx.post(program.url + "/v1/refine", json=asked, timeout=120).is_success
        before = server.num_fds()
        for _ in range(3):
            kill_the_engine(program)
            program.until("is back")
            assert httpx.post(program.url + "/v1/refine", json=asked, timeout=120).is_success
        # Each had nine; a connection may come and go.
        assert server.num_fds() <= before + 2


@fault(
    "Engine",
    "The engine's process dies again and again",
    sees="its best; without a draft an error, 503 with `Retry-After`",
    lost="the phases that were to come",
    recovers="is started again after longer and longer waits; `/health` fails meanwhile",
)
@pytest.mark.vllm
def test_health_fails_while_the_engine_does_not_come_back(tmp_path: Path) -> None:
    model = tiny_model.build(tmp_path)
    with running(str(model), "--max-restarts", "0") as program:
        assert httpx.get(program.url + "/health").json() == {"status": "alive"}
        kill_the_engine(program)
        program.until("started again in 30 s")
        down = httpx.get(program.url + "/health")
        assert (down.status_code, down.json()["status"]) == (503, "engine_down")
        assert "started again in 30 s" in httpx.get(program.url + "/ready").json()["reason"]
        program.signal(signal.SIGTERM)
        assert program.wait() == 0


@fault(
    "Engine",
    "The same, with `--exit-when-down`",
    sees="its best, then a closed port",
    lost="the phases that were to come",
    recovers="ends with code 1, for an orchestrator to start it again",
)
@pytest.mark.vllm
def test_the_process_ends_for_an_engine_that_does_not_come_back_if_asked(tmp_path: Path) -> None:
    model = tiny_model.build(tmp_path)
    with running(str(model), "--max-restarts", "0", "--exit-when-down") as program:
        assert program.url
        kill_the_engine(program)
        assert program.wait() == 1
        assert "stopped: the engine could not be brought back" in program.output


@pytest.mark.vllm
def test_a_signal_while_the_engine_starts_ends_that(tmp_path: Path) -> None:
    with running(str(tiny_model.build(tmp_path))) as program:
        program.until("importing vLLM")
        program.signal(signal.SIGTERM)
        program.until("stopping before it was ready")
        assert program.wait() == 0
        assert "Traceback" not in program.output


def needs_vllm() -> None:
    """To be installed; these tests end before it is imported."""
    if not importlib.util.find_spec("vllm"):
        pytest.skip("vllm is not installed")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it has no config.json"),
        ({"config.json": "{"}, "is not a JSON object"),
        ({"config.json": '{"architectures": ["X"]}', "tokenizer.json": "{}"}, "has no weights"),
    ],
    ids=["no config", "broken config", "no weights"],
)
def test_a_directory_that_is_no_model_is_one_line(
    files: dict[str, str], said: str, tmp_path: Path, refuses: Refuses
) -> None:
    needs_vllm()
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert said in refuses(str(tmp_path))


def test_a_directory_that_is_not_there_is_one_line(refuses: Refuses) -> None:
    needs_vllm()
    assert "no model directory at nowhere" in refuses("nowhere")


@pytest.mark.vllm
def test_too_little_memory_is_one_line(tmp_path: Path) -> None:
    model = tiny_model.build(tmp_path)
    with running(str(model), "--kv-cache-memory-bytes", str(2**20)) as program:
        assert program.wait() == 2
        assert "redraft serve: a KV cache of 1 MiB" in program.output
        assert "Traceback" not in program.output


def test_the_program_runs_on_uvloop_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")
    loop = event_loop()
    try:
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()
