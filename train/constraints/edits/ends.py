"""Edits at the beginning and the end of a response, and around it."""

from __future__ import annotations

import re

from redraft.server.refine.checks.check import Arguments
from redraft.train.constraints.edits.parts import lowered_start


def starts(response: str, arguments: Arguments) -> str:
    return f"{arguments['text']}, {lowered_start(response.lstrip())}"


def ends(response: str, arguments: Arguments) -> str | None:
    text = arguments["text"]
    if text == "?":
        return None  # only a question of the model's own will do
    body = response.rstrip()
    if text == "!":
        return re.sub(r"[.?…\"'*)\]]*\Z", "!", body)
    if not body.endswith((".", "!", "?", '"', "”", ":", ")", "*")):
        body = body.rstrip(" ,;-") + "."  # a draft that was cut ends anywhere
    return f"{body}\n\n{text}" if "\n" in body else f"{body} {text}"


def repeats(response: str, text: str) -> str:
    return f"{text}\n\n{response.lstrip()}"


def quoted(response: str, _: Arguments) -> str:
    return f'"{response.strip()}"'


def code_block(response: str, _: Arguments) -> str:
    return f"```\n{response.replace('```', '').strip()}\n```"


def titled(response: str, title: str) -> str:
    return f"<<{title}>>\n\n{response.lstrip()}"


def heading(response: str, title: str) -> str:
    return f"# {title}\n\n{response.lstrip()}"
