"""Edits of the layout: lists, paragraphs, sections, dividers, formats."""

from __future__ import annotations

import json
import re

from redraft.server.refine.checks.bounds import Bounds
from redraft.server.refine.checks.check import Arguments
from redraft.server.refine.checks.splitting import Text
from redraft.train.constraints.edits.parts import ITEM, grouped, joined, lowered_start, unmarked
from redraft.train.constraints.edits.parts import units as units_of


def _wanted(arguments: Arguments) -> int:
    bounds = Bounds.of(arguments)
    return bounds.least if bounds.least is not None else bounds.most or 0


def listed(response: str, arguments: Arguments, numbered: bool) -> str | None:
    """So many list items: those that are there, else the sentences in so many groups."""
    count = _wanted(arguments)
    if count == 0:
        return "\n".join(unmarked(line) if line.strip() else "" for line in response.splitlines())
    lines = [line for line in response.splitlines() if line.strip()]
    items = [unmarked(line) for line in lines if ITEM.match(line)]
    before: list[str] = []
    if len(items) >= count:
        before = _introduction(lines)
        items = items[:count]
    else:
        groups = grouped([unmarked(unit) for unit in units_of(response)], count)
        if groups is None:
            return None
        items = [joined(group) for group in groups]
    marks = [f"{number}. " if numbered else "* " for number in range(1, count + 1)]
    body = "\n".join(mark + item for mark, item in zip(marks, items, strict=True))
    return "\n".join((*before, body))


def _introduction(lines: list[str]) -> list[str]:
    first = next(number for number, line in enumerate(lines) if ITEM.match(line))
    return lines[:first]


def _regrouped(response: str, count: int, between: str) -> str | None:
    groups = grouped(units_of(response), count)
    return None if groups is None else between.join(map(joined, groups))


def paragraphs(response: str, arguments: Arguments) -> str | None:
    separator = arguments.get("separator")
    between = "\n\n" if separator is None else f"\n\n{separator}\n\n"
    return _regrouped(response, _wanted(arguments), between)


def parts(response: str, arguments: Arguments) -> str | None:
    return _regrouped(response, _wanted(arguments), f"\n\n{arguments['separator']}\n\n")


def lines(response: str, arguments: Arguments) -> str | None:
    groups = grouped([unmarked(unit) for unit in units_of(response)], _wanted(arguments))
    return None if groups is None else "\n".join(map(" ".join, groups))


def sections(response: str, arguments: Arguments) -> str | None:
    groups = grouped(units_of(response), _wanted(arguments))
    if groups is None:
        return None
    marker = arguments["marker"]
    return "\n\n".join(f"{marker} {n}\n{joined(group)}" for n, group in enumerate(groups, 1))


def paragraph_starts(response: str, arguments: Arguments) -> str | None:
    number, word = arguments["paragraph"], arguments["word"]
    there = Text(response).paragraphs
    if len(there) < number:
        groups = grouped(units_of(response), number)
        if groups is None:
            return None
        there = [joined(group) for group in groups]
    there[number - 1] = f"{word}, {lowered_start(there[number - 1])}"
    return "\n\n".join(there)


def no_headings(response: str, _: Arguments) -> str:
    return re.sub(r"^#{1,6}[^\S\n]+", "", response, flags=re.MULTILINE)


def as_json(response: str, title: str) -> str:
    """An object of a title and the lines of the response."""
    written = [line.strip().replace('"', "'") for line in response.splitlines() if line.strip()]
    return json.dumps({"title": title, "text": written}, ensure_ascii=False, indent=2)
