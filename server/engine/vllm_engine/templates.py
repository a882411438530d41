"""Chat templates: where a model keeps its own, and how it takes the content of a message.

Templates of models that see may go through the parts of a content and render nothing of one that
is a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

WORD = "zebra"  # to be found again in what is rendered
Content = str | list[dict[str, str]]
Render = Callable[[list[dict[str, Any]]], Any]


def template_of(model: Path) -> str | None:
    """The text of the chat template in a model's directory, or of all it has there."""
    with suppress(OSError, UnicodeDecodeError):
        return (model / "chat_template.jinja").read_text(encoding="utf-8")
    # The last one belongs to a processor of images; tokenizers do not read it.
    for name in ("tokenizer_config.json", "chat_template.json"):
        template = read_json(model / name).get("chat_template")
        if template is not None:
            is_text = isinstance(template, str)
            return str(template) if is_text else json.dumps(template, ensure_ascii=False)
    return None


def kept_apart(tokenizer: Any, model: Path | str) -> str | None:
    """The template of a model whose tokenizer has none; else None."""
    return None if tokenizer.chat_template else template_of(Path(model))


def wants_parts(render: Render) -> bool:
    """Whether a template renders a content in parts alone. ``render`` renders a chat."""
    return not _shows(render, WORD) and _shows(render, in_parts(WORD))


def in_parts(text: str) -> Content:
    return [{"type": "text", "text": text}]


def _shows(render: Render, content: Content) -> bool:
    try:
        return WORD in str(render([{"role": "user", "content": content}]))
    except Exception as error:  # any: a template is a program, and fails as its writer made it
        if isinstance(error, MemoryError):  # the machine's failure, not the template's
            raise
        return False


def read_json(file: Path) -> dict[str, Any]:
    """An object in a file; empty where there is none."""
    with suppress(OSError, ValueError):
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}
