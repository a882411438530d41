"""Where a model keeps its chat template, and how the template takes content."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from redraft.server.engine.vllm_engine.templates import kept_apart, template_of, wants_parts
from tests.support import tiny_model, tiny_vision_model

EITHER = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        (tiny_model.CHAT_TEMPLATE, False),
        (tiny_vision_model.CHAT_TEMPLATE, True),
        (EITHER, False),
        ("{% if not messages[3] %}{{ raise_exception('four!') }}{% endif %}", False),
    ],
    ids=["text", "parts", "either", "more-messages"],
)
def test_a_template_gets_parts_where_it_renders_nothing_else(template: str, parts: bool) -> None:
    def render(messages: list[dict[str, Any]]) -> str:
        return jinja2.Environment().from_string(template).render(messages=messages)

    assert wants_parts(render) == parts


def test_a_template_is_found_where_tokenizers_and_processors_keep_theirs(tmp_path: Path) -> None:
    assert template_of(tmp_path) is None
    for name in ("chat_template.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps({"chat_template": f"of {name}"}))
        assert template_of(tmp_path) == f"of {name}"
    (tmp_path / "chat_template.jinja").write_text("of its own")
    assert template_of(tmp_path) == "of its own"


def test_a_tokenizer_keeps_a_template_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "of a processor"}))
    assert kept_apart(SimpleNamespace(chat_template="its own"), tmp_path) is None
    assert kept_apart(SimpleNamespace(chat_template=None), tmp_path) == "of a processor"
