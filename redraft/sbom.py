"""Lists what is installed as a CycloneDX document: ``redraft sbom > sbom.json``.

Packages of the environment with their versions, licences and dependencies, and the weights that
come with Redraft with their hashes. The same environment gives the same document.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from redraft import __version__

SPECIFICATION = "1.6"
MODELS = Path(__file__).resolve().parent / "models"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_LICENCE = 80  # characters; some packages put the whole text there

Json = dict[str, Any]


def document(packages: Iterable[Distribution], models: Path = MODELS) -> Json:
    found = {name_of(package): package for package in packages}
    own = found.pop("redraft", None)
    components = [component(name, found[name]) for name in sorted(found)]
    versions = {name: package.version for name, package in found.items()}
    needs = {name: needed_by(package, found) for name, package in found.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {"component": {**_named("redraft", __version__), "type": "application"}},
        "components": [*components, *weights(models)],
        "dependencies": [
            _dependency("redraft", __version__, needed_by(own, found) if own else [], versions),
            *(_dependency(n, versions[n], needs[n], versions) for n in sorted(found)),
        ],
    }


def component(name: str, package: Distribution) -> Json:
    licence = licence_of(package)
    licences = {"licenses": [{"license": {"name": licence}}]} if licence else {}
    return {**_named(name, package.version), "type": "library", **licences}


def licence_of(package: Distribution) -> str:
    about = package.metadata
    if "License-Expression" in about:
        return str(about["License-Expression"])
    kinds = [c for c in about.get_all("Classifier") or () if c.startswith("License :: ")]
    if kinds:
        return ", ".join(kind.rpartition(" :: ")[2] for kind in kinds)
    stated = str(about["License"]).strip() if "License" in about else ""
    return stated if len(stated) <= _LONGEST_LICENCE else ""


def needed_by(package: Distribution, found: dict[str, Distribution]) -> list[str]:
    """The installed packages that it requires, those of its extras included."""
    names = (_NAME.match(requirement) for requirement in package.requires or ())
    needed = {normal(name[0]) for name in names if name}
    return sorted(needed & found.keys())


def weights(models: Path) -> list[Json]:
    files = sorted(models.glob("*/*.safetensors"))
    return [
        {
            "type": "machine-learning-model",
            "name": file.parent.name,
            "version": __version__,
            "bom-ref": f"model:{file.parent.name}",
            "hashes": [{"alg": "SHA-256", "content": _sha256(file)}],
        }
        for file in files
    ]


def name_of(package: Distribution) -> str:
    return normal(package.metadata["Name"])


def normal(name: str) -> str:
    """The name as indexes have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: Sequence[str] | None = None) -> int:
    about = "List what is installed, and the weights that come with it, as CycloneDX JSON."
    argparse.ArgumentParser(prog="redraft sbom", description=about).parse_args(arguments)
    json.dump(document(distributions()), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


def _named(name: str, version: str) -> Json:
    address = f"pkg:pypi/{name}@{version}"
    return {"name": name, "version": version, "purl": address, "bom-ref": address}


def _dependency(name: str, version: str, needed: Iterable[str], versions: dict[str, str]) -> Json:
    needs = [f"pkg:pypi/{other}@{versions[other]}" for other in needed]
    return {"ref": f"pkg:pypi/{name}@{version}", "dependsOn": needs}


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
