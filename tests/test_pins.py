"""Every package is pinned with its hashes, and one of another hash is not installed.
Spans: redraft/pins, redraft/install, constraints"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from redraft import pins
from redraft.install import arguments_for

EMPTY = "0" * 64


@pytest.mark.parametrize("platform", pins.PLATFORMS)
def test_every_pin_has_its_hashes_and_no_other_has_any(platform: str) -> None:
    assert pins.problems(platform) == []
    assert len(pins.pins_of(platform)) > 200


@pytest.mark.parametrize("platform", pins.PLATFORMS)
def test_the_file_has_hashes_alone_and_names_no_index(platform: str) -> None:
    for line in pins.hashes_file(platform).read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[^\s@]+( --hash=sha256:[0-9a-f]{64})+", line)


@pytest.mark.parametrize(
    ("file", "used"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp39-abi3-manylinux_2_28_aarch64.whl", True),
        ("a-1-cp310-cp310-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp313-cp313t-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp312-cp312-win_amd64.whl", False),
        ("a-1-cp312-cp312-macosx_11_0_arm64.whl", False),
    ],
)
def test_the_hashes_are_of_the_files_that_can_be_used_here(file: str, used: bool) -> None:
    assert pins.is_used(file) is used


def test_what_an_index_says_becomes_lines() -> None:
    wheel = {"url": "file:///a-1-py3-none-any.whl", "hashes": {"sha256": "b" * 64}}
    other = {"name": "a-1-cp39-cp39-win32.whl", "hashes": {"sha256": "c" * 64}}
    sdist = {"url": "file:///a-1.tar.gz", "hashes": {"sha256": "a" * 64}}
    package = {"name": "a", "version": "1", "wheels": [wheel, other], "sdist": sdist}
    local = {"name": "torch", "version": "2+cpu", "wheels": [wheel]}
    lines = pins.written(pins.hashes_in({"packages": [package, local]}))
    assert lines == f"a==1 --hash=sha256:{'a' * 64} --hash=sha256:{'b' * 64}\n"


def test_the_installer_takes_the_hashes_unless_told_otherwise() -> None:
    place = (["train"], "cuda", Path(sys.prefix), Path(sys.executable))
    hashes = str(pins.hashes_file("cuda"))
    assert hashes in arguments_for(*place)
    assert hashes not in arguments_for(*place, verify=False)


def test_a_package_of_another_hash_is_not_installed(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("there is no uv")
    with zipfile.ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a.py", "")
        about = "Metadata-Version: 2.1\nName: a\nVersion: 1\n"
        wheel.writestr("a-1.dist-info/METADATA", about)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("a-1.dist-info/WHEEL", tags)
        wheel.writestr("a-1.dist-info/RECORD", "")
    plain, hashes = tmp_path / "plain.txt", tmp_path / "hashes.txt"
    plain.write_text("a==1\n")
    hashes.write_text(f"a==1 --hash=sha256:{EMPTY}\n")

    def install(*constraints: Path) -> subprocess.CompletedProcess[str]:
        command = [uv, "pip", "install", "--no-index", "--find-links", str(tmp_path), "--no-cache"]
        command += ["--target", str(tmp_path / "into")]
        command += [word for file in constraints for word in ("--constraints", str(file))]
        return subprocess.run([*command, "a"], capture_output=True, text=True, timeout=120)

    refused = install(plain, hashes)
    assert refused.returncode != 0
    assert "Hash mismatch" in refused.stderr
    assert install(plain).returncode == 0
