"""Compares what is installed with advisories on this disk: ``redraft audit advisories.zip``.

Advisories are records of the OSV format, in a zip file or a folder: the export of an advisory
database, fetched wherever there is a network. Nothing is asked of anybody. The exit code is 1 when
an installed version is affected.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from redraft.sbom import name_of, normal

CANNOT_READ = 2


class NotReadable(Exception):
    """The message is the one line the user sees."""


def advisories(place: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if place.is_dir():
            for file in sorted(place.rglob("*.json")):
                yield _record(file.name, file.read_bytes())
            return
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield _record(name, archive.read(name))
    except (OSError, zipfile.BadZipFile) as error:
        raise NotReadable(f"cannot read {place}: {error}; give a zip file or a folder") from error


def _record(name: str, content: bytes) -> Mapping[str, Any]:
    try:
        record = json.loads(content)
    except ValueError as error:
        raise NotReadable(f"{name} is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise NotReadable(f"{name} is no record of the OSV format")
    return record


def findings(place: Path, installed: Mapping[str, str]) -> list[str]:
    """A line for each advisory that affects an installed version."""
    lines = []
    for record in advisories(place):
        if record.get("withdrawn"):
            continue
        for affected in record.get("affected") or ():
            package = affected.get("package") or {}
            name = normal(str(package.get("name", "")))
            if package.get("ecosystem") != "PyPI" or name not in installed:
                continue
            if is_affected(installed[name], affected):
                summary = record.get("summary") or "no summary"
                lines.append(f"{name} {installed[name]}: {record.get('id')}, {summary}")
    return sorted(set(lines))


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    if version in (affected.get("versions") or ()):
        return True
    ranges = affected.get("ranges") or ()
    return any(_within(version, r["events"]) for r in ranges if r.get("type") == "ECOSYSTEM")


def _within(text: str, events: Sequence[Mapping[str, str]]) -> bool:
    """Whether a version is in the range that the events describe, from the lowest up."""
    from packaging.version import InvalidVersion, Version

    def at(value: str) -> Version:
        return Version("0.dev0" if value == "0" else value)

    try:
        version = at(text)
        inside = False
        for event in sorted(events, key=lambda event: at(next(iter(event.values())))):
            ((kind, value),) = event.items()
            if kind == "introduced" and version >= at(value):
                inside = True
            elif (kind == "fixed" and version >= at(value)) or (
                kind == "last_affected" and version > at(value)
            ):
                inside = False
    except InvalidVersion:  # a version that is none is in the list of versions, or in none
        return False
    return inside


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="redraft audit", description="Compare what is installed with advisories on this disk."
    )
    parser.add_argument("place", type=Path, metavar="ADVISORIES", help="OSV records, zip or folder")
    chosen = parser.parse_args(arguments)
    installed = {name_of(package): package.version for package in distributions()}
    try:
        found = findings(chosen.place, installed)
    except NotReadable as error:
        print(f"redraft audit: {error}", file=sys.stderr)
        return CANNOT_READ
    for line in found:
        print(line)
    said = f"{len(found)} affect" if len(found) != 1 else "1 affects"
    print(f"{len(installed)} packages are installed; {said} them", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
