"""What is installed is listed, and compared with advisories, without asking anybody.
Spans: redraft/sbom, redraft/audit"""

from __future__ import annotations

import hashlib
import json
import zipfile
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest

from redraft import __version__, audit, sbom
from redraft.server.cli import main


def test_the_list_has_every_package_and_the_weights(root: Path) -> None:
    listed = sbom.document(distributions())
    assert (listed["bomFormat"], listed["metadata"]["component"]["version"]) == (
        "CycloneDX",
        __version__,
    )
    components = {c["name"]: c for c in listed["components"]}
    assert components["fastapi"]["purl"] == f"pkg:pypi/fastapi@{version('fastapi')}"
    assert components["fastapi"]["licenses"]
    file = root / "models" / "redraft-workbench" / "model.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert components["redraft-workbench"]["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_what_depends_on_what_is_named_by_references_that_exist() -> None:
    listed = sbom.document(distributions())
    known = {c["bom-ref"] for c in listed["components"]}
    known.add(listed["metadata"]["component"]["bom-ref"])
    needs = {entry["ref"]: entry["dependsOn"] for entry in listed["dependencies"]}
    assert needs.keys() <= known
    assert {need for each in needs.values() for need in each} <= known
    assert (
        f"pkg:pypi/starlette@{version('starlette')}"
        in needs[f"pkg:pypi/fastapi@{version('fastapi')}"]
    )


def test_the_command_prints_the_same_twice(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for _ in range(2):
        assert main(["sbom"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert json.loads(printed[0])["components"]


def advisory(**affected: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": "Fast_API"}
    return {"id": "X-1", "summary": "bad", "affected": [{"package": package, **affected}]}


def ecosystem(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "found"),
    [
        ({"versions": ["1.2", "1.3"]}, True),
        ({"versions": ["1.4"]}, False),
        (ecosystem({"introduced": "0"}), True),
        (ecosystem({"introduced": "0"}, {"fixed": "1.3"}), False),
        (ecosystem({"introduced": "0"}, {"fixed": "1.10"}), True),
        (ecosystem({"introduced": "1.3"}, {"last_affected": "1.3"}), True),
        (ecosystem({"introduced": "1.0"}, {"last_affected": "1.2"}), False),
        (ecosystem({"introduced": "2.0"}), False),
        (ecosystem({"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.3"}), True),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
    ],
)
def test_an_advisory_finds_the_versions_it_is_about(
    tmp_path: Path, affected: dict[str, Any], found: bool
) -> None:
    (tmp_path / "X-1.json").write_text(json.dumps(advisory(**affected)))
    lines, number = audit.findings(tmp_path, {"fast-api": "1.3"})
    assert number == 1
    assert lines == (["fast-api 1.3: X-1, bad"] if found else [])


def test_one_that_was_withdrawn_or_is_about_another_language_finds_nothing(tmp_path: Path) -> None:
    withdrawn = {**advisory(versions=["1.3"]), "withdrawn": "2026-01-01T00:00:00Z"}
    other = advisory(versions=["1.3"])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    (tmp_path / "a.json").write_text(json.dumps(withdrawn))
    (tmp_path / "b.json").write_text(json.dumps(other))
    assert audit.findings(tmp_path, {"fast-api": "1.3"}) == ([], 2)


def test_the_command_reads_a_zip_file_and_its_exit_code_says_whether_there_is_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, bad, code in (("bad", version("fastapi"), 1), ("good", "0.0.1", 0)):
        record = advisory(versions=[bad])
        record["affected"][0]["package"]["name"] = "fastapi"
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("osv/1.json", json.dumps(record))
        assert main(["audit", str(tmp_path / name)]) == code
        assert ("X-1" in capsys.readouterr().out) is bool(code)


def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.json").write_text("{")
    for place in (tmp_path, tmp_path / "nothing", tmp_path / "torn.json"):
        assert main(["audit", str(place)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("redraft audit: ")


# As in pypa/advisory-database: a folder for each package, YAML, details and no summary.
PYSEC = """\
id: PYSEC-2099-{number}
details: {details}
affected:
- package:
    name: {package}
    ecosystem: PyPI
    purl: pkg:pypi/{package}
  ranges:
  - type: GIT
    repo: https://example.org/{package}
    events:
    - introduced: '0'
    - fixed: 5ce5e76ee9de2c8b1e1a1f6b1c0f9e0d1c2b3a49
  - type: ECOSYSTEM
    events:
    - introduced: '0'
    - fixed: {fixed}
  versions:
  - 0.1.0
references:
- type: WEB
  url: https://example.org/advisory
aliases:
- CVE-2099-{number}
modified: '2099-07-02T02:41:32.834524Z'
published: '2099-12-20T15:29:00Z'
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    pytest.importorskip("yaml", reason="pyyaml is not installed")
    place = tmp_path / "advisory-database"
    rows = (("fastapi", "0.1.1", "1"), ("uvicorn", "0.2.0", "2"), ("httpx", "99999", "3"))
    for package, fixed, number in rows:
        file = place / "vulns" / package / f"PYSEC-2099-{number}.yaml"
        file.parent.mkdir(parents=True)
        details = f"{package} lets anybody in. " + "It is long. " * 40
        file.write_text(PYSEC.format(package=package, fixed=fixed, number=number, details=details))
    return place


def test_the_records_of_the_advisory_database_are_read(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(database)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"httpx {version('httpx')}: PYSEC-2099-3, httpx lets anybody in.")
    assert len(line) < 200


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_pins_are_compared_without_being_installed(
    database: Path, platform: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = audit.pinned(platform)
    assert pinned["torch"].replace(".", "").isdigit()
    assert main(["audit", str(database), "--pins", platform]) == 1
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert line.startswith(f"httpx {pinned['httpx']}: ")
    assert f"{len(pinned)} packages are pinned; of 3 advisories 1 affects them" in said.err
    (database / "vulns" / "httpx" / "PYSEC-2099-3.yaml").unlink()
    assert main(["audit", str(database), "--pins", platform]) == 0


def test_a_place_without_an_advisory_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("Advisories.")
    assert main(["audit", str(tmp_path)]) == 2
    assert "has no advisory" in capsys.readouterr().err


def test_yaml_that_cannot_be_read_is_one_line(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (database / "vulns" / "httpx" / "PYSEC-2099-3.yaml").write_text("id: [\n")
    assert main(["audit", str(database)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "PYSEC-2099-3.yaml is no YAML" in line
