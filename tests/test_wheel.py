"""What is built to be installed: its files, and that it works in an environment of its own.
Spans: pyproject.toml, redraft"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the dev extra is not installed")

FOLDERS = ("redraft", "server", "train", "clients", "benchmarks", "models", "constraints")


def build(target: str, folder: Path, source: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory"]
    subprocess.run([*command, str(folder)], cwd=source, check=True, capture_output=True)
    (built,) = (path for path in folder.iterdir() if path.suffix in (".whl", ".gz"))
    return built


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"), root)


def files_of(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_every_file_of_the_packages_is_in_it_and_nothing_else(wheel: Path, root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    expected = {
        name if name.startswith("redraft/") else f"redraft/{name}"
        for name in listed.stdout.splitlines()
        if (root / name).is_file() and not name.startswith("clients/node/")
    }
    assert files_of(wheel) == expected
    assert "redraft/models/redraft-workbench/model.safetensors" in expected


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(
    wheel: Path, root: Path, tmp_path: Path
) -> None:
    with tarfile.open(build("sdist", tmp_path, root)) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("redraft-*/")
    assert files_of(build("wheel", tmp_path / "again", source)) == files_of(wheel)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and what it needs, and nothing else."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if not uv:
        pytest.skip("no uv on PATH or beside this Python")
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    installed = subprocess.run(
        [uv, "pip", "install", "--python", environment / "bin" / "python", wheel],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if re.search(r"failed to fetch|dns error|error sending request", installed.stderr, re.I):
        pytest.skip("the package index cannot be reached")
    assert installed.returncode == 0, installed.stderr
    return environment


def run(
    environment: Path, folder: Path, *command: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in ``folder``, with nothing of the repository in reach."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ended = subprocess.run(
        [environment / "bin" / command[0], *command[1:]],
        cwd=folder,
        env={**environ, "PATH": f"{environment}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not check or ended.returncode == 0, ended.stdout + ended.stderr
    return ended


@pytest.mark.slow
def test_nothing_but_redraft_is_put_beside_other_packages(environment: Path, wheel: Path) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert all(name.startswith("redraft") for name in tops)
    assert not {"server", "train", "clients", "benchmarks"} & {p.name for p in packages.iterdir()}


LIGHT = """
import sys, time
began = time.process_time()
from redraft import AsyncRedraft, Redraft
print(time.process_time() - began, *sys.modules)
"""


@pytest.mark.slow
def test_the_client_takes_half_a_second_of_processor_time_at_most_and_no_engine(
    environment: Path, tmp_path: Path
) -> None:
    run(environment, tmp_path, "python", "-c", LIGHT)  # compiles what it imports
    seconds, *modules = run(environment, tmp_path, "python", "-c", LIGHT).stdout.split()
    assert float(seconds) < 0.5
    assert not {"torch", "vllm", "transformers", "fastapi"} & set(modules)


USER_PROGRAM = """
from redraft import AsyncRedraft, Redraft

def ask() -> str:
    with Redraft("http://127.0.0.1:8000", api_key="key") as client:
        answer: int = client.refine("Hello?", max_iterations=2).answer
        client.refine("Hello?", max_iteration=2)
        return ",".join(client.models())

async def stream() -> None:
    async with AsyncRedraft() as client:
        async for event in client.stream_refine("Hello?", keep="best"):
            print(event.text)

from redraft import Redarft
"""


@pytest.mark.slow
def test_a_strict_type_checker_sees_the_types_of_the_clients(
    environment: Path, tmp_path: Path
) -> None:
    """It finds the three mistakes of the program, and nothing else."""
    pytest.importorskip("mypy", reason="the dev extra is not installed")
    (tmp_path / "program.py").write_text(USER_PROGRAM)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py"]
    checked = subprocess.run(
        [*mypy, "--python-executable", str(environment / "bin" / "python")],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 3, checked.stdout + checked.stderr
    assert 'expression has type "str", variable has type "int"' in errors[0]
    assert 'Unexpected keyword argument "max_iteration"' in errors[1]
    assert 'has no attribute "Redarft"' in errors[2]


SERVES = r"""
import re, subprocess
from redraft import Redraft
command = ["redraft", "serve", "--engine", "scripted", "--port", "0"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    url = next(page[1] for line in server.stdout if (page := re.search(r"page +(\S+)", line)))
    try:
        with Redraft(url) as client:
            print(client.refine("Hello?").answer)
    finally:
        server.terminate()
"""


@pytest.mark.slow
def test_a_server_answers_a_client_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    assert "redraft COMMAND" in run(environment, tmp_path, "redraft", "--help").stdout
    assert "scripted engine" in run(environment, tmp_path, "python", "-c", SERVES).stdout


@pytest.mark.slow
def test_the_shipped_model_is_found_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    code = """
from redraft.server.build import names
from redraft.server.build.fetching import Fetching
print(names.find(names.FALLBACK, "", Fetching(print)).directory)
"""
    directory = Path(run(environment, tmp_path, "python", "-c", code).stdout.strip())
    assert directory.is_relative_to(environment)
    assert (directory / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_recipes_are_found_where_they_are_installed(environment: Path) -> None:
    (train,) = environment.glob("lib/python*/site-packages/redraft/train")
    assert (train / "recipes" / "smoke.yaml").is_file()
    assert list((train / "accelerate").glob("*.yaml"))


@pytest.mark.slow
def test_what_is_missing_is_named_with_a_command_that_brings_it(
    environment: Path, tmp_path: Path
) -> None:
    serve = run(environment, tmp_path, "redraft", "serve", "--port", "0", check=False)
    assert serve.returncode == 2
    assert "vLLM is not installed; run: redraft install cpu" in serve.stderr
    recipe = ["train", "run", "smoke", "--dry-run"]
    train = run(environment, tmp_path, "redraft", *recipe, check=False)
    assert train.returncode == 2
    assert train.stderr.count("\n") == 1
    assert "smoke.yaml is YAML, which needs PyYAML; run: redraft install train" in train.stderr
    # The advice for bench, which needs no torch and so no place that has it.
    command = run(environment, tmp_path, "redraft", "install", "bench", "--dry-run").stdout
    assert re.search(r"--constraints \S+/site-packages/redraft/constraints/\w+\.txt", command)
    assert f"--python {environment}/bin/python" in command
    assert "locust>=2.47" in command
    assert "--editable" not in command
