"""Compares what is installed, or pinned, with advisories on this disk.

    redraft audit advisories.zip             what is installed here
    redraft audit advisories --pins cpu      what constraints/cpu.txt pins

Advisories are records of the OSV format, JSON or YAML, in a zip file or a folder: the export of an
advisory database or a clone of pypa/advisory-database, fetched wherever there is a network. Nothing
is asked of anybody. The exit code is 1 when a version is affected, and 2 when there is no advisory.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from redraft import pins
from redraft.sbom import name_of, normal

CANNOT_READ = 2
RECORDS = (".json", ".yaml", ".yml")
LONGEST_SUMMARY = 120  # characters


class NotReadable(Exception):
    """The message is the one line the user sees."""


def advisories(place: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if place.is_dir():
            for file in sorted(file for file in place.rglob("*") if file.suffix in RECORDS):
                yield _record(file.name, file.read_bytes())
            return
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                if name.endswith(RECORDS):
                    yield _record(name, archive.read(name))
    except (OSError, zipfile.BadZipFile) as error:
        raise NotReadable(f"cannot read {place}: {error}; give a zip file or a folder") from error


def _record(name: str, content: bytes) -> Mapping[str, Any]:
    record = _json(name, content) if name.endswith(".json") else _yaml(name, content)
    if not isinstance(record, dict):
        raise NotReadable(f"{name} is no record of the OSV format")
    return record


def _json(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise NotReadable(f"{name} is no JSON: {error}") from error


def _yaml(name: str, content: bytes) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise NotReadable(f"{name} is YAML, which needs the package pyyaml") from error
    # All scalars are text: 1.10 is a version and no number. In C where it was built so, which
    # reads thousands of records in seconds.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        return yaml.load(content, loader)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise NotReadable(f"{name} is no YAML: {said}") from error


def pinned(platform: str) -> dict[str, str]:
    """The versions that constraints/ pins, by name."""
    found = {}
    for pin in (pins.CONSTRAINTS / f"{platform}.txt").read_text("utf-8").split():
        name, _, version = pin.partition("==")
        found[normal(name)] = version.partition("+")[0]
    return found


def findings(place: Path, versions: Mapping[str, str]) -> tuple[list[str], int]:
    """A line for each advisory that affects one of the versions, and the number of advisories."""
    lines, number = set(), 0
    for record in advisories(place):
        number += 1
        if record.get("withdrawn"):
            continue
        for affected in record.get("affected") or ():
            package = affected.get("package") or {}
            name = normal(str(package.get("name", "")))
            if package.get("ecosystem") != "PyPI" or name not in versions:
                continue
            if is_affected(versions[name], affected):
                lines.add(f"{name} {versions[name]}: {record.get('id')}, {_summary(record)}")
    if not number:  # not the same as advisories that affect nothing
        raise NotReadable(f"{place} has no advisory: no file that ends in {', '.join(RECORDS)}")
    return sorted(lines), number


def _summary(record: Mapping[str, Any]) -> str:
    """Records of pypa/advisory-database have details alone, of any length."""
    told = record.get("summary") or record.get("details") or "no summary"
    return textwrap.shorten(str(told), LONGEST_SUMMARY, placeholder=" ...")


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
    parser.add_argument("--pins", choices=pins.PLATFORMS, help="compare what is pinned instead")
    chosen = parser.parse_args(arguments)
    if chosen.pins:
        versions, are = pinned(chosen.pins), "pinned"
    else:
        versions = {name_of(package): package.version for package in distributions()}
        are = "installed"
    try:
        found, number = findings(chosen.place, versions)
    except NotReadable as error:
        print(f"redraft audit: {error}", file=sys.stderr)
        return CANNOT_READ
    for line in found:
        print(line)
    said = f"{len(found)} affect" if len(found) != 1 else "1 affects"
    print(
        f"{len(versions)} packages are {are}; of {number} advisories {said} them", file=sys.stderr
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
