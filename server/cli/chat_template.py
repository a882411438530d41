"""What the doctor finds in a model's tokenizer and chat template, by rendering small chats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redraft.server.cli.diagnosis import Diagnosis
from redraft.server.engine.vllm_engine.templates import WORD, in_parts, kept_apart, wants_parts

TOOL = {
    "type": "function",
    "function": {"name": WORD, "description": "a", "parameters": {"type": "object"}},
}


def template_findings(directory: Path, template: str | None = None) -> Iterator[Diagnosis]:
    """``template``: the text of one that is used in place of the model's own."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        yield Diagnosis("tokenizer", "not looked at: transformers comes with vLLM")
        return
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(directory)
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "copy the tokenizer's files again from where the model comes from"
        yield Diagnosis("tokenizer", f"cannot be loaded: {first}", remedy, wrong=True)
        return
    yield _tokenizer(tokenizer)
    if chosen := template or kept_apart(tokenizer, directory):
        tokenizer.chat_template = chosen
    yield _template(tokenizer)


def _tokenizer(tokenizer: Any) -> Diagnosis:
    special = [
        f"{kind} {getattr(tokenizer, f'{kind}_token')}"
        for kind in ("bos", "eos", "pad")
        if getattr(tokenizer, f"{kind}_token", None)
    ]
    text = f"{len(tokenizer)} tokens; {', '.join(special) or 'no special tokens'}"
    if not tokenizer.is_fast:
        remedy = "convert it to a tokenizer.json, which token-exact phases need"
        return Diagnosis("tokenizer", f"slow; {text}", remedy, wrong=True)
    if not getattr(tokenizer, "eos_token", None):
        remedy = "name the token that ends an answer as eos_token in tokenizer_config.json"
        return Diagnosis("tokenizer", f"fast; {text}: no answer would end", remedy)
    return Diagnosis("tokenizer", f"fast; {text}")


def _template(tokenizer: Any) -> Diagnosis:
    if not tokenizer.chat_template:
        return Diagnosis(
            "template",
            "none: chats cannot be rendered",
            "serve the instruct or chat version of the model, or give a template: "
            "--engine-arg chat-template=FILE",
            wrong=True,
        )
    rendering = _Rendering(tokenizer)
    if rendering.of("Hello") is None:
        remedy = "give another: --engine-arg chat-template=FILE"
        return Diagnosis("template", "does not render a single message", remedy, wrong=True)
    knows = {
        "system messages": WORD in (rendering.of("Hello", system=WORD) or ""),
        "tools": WORD in (rendering.of("Hello", tools=[TOOL]) or ""),
        "enable_thinking": rendering.of("Hello", enable_thinking=True)
        != rendering.of("Hello", enable_thinking=False),
    }
    yes = [name for name, known in knows.items() if known]
    no = [name for name, known in knows.items() if not known]
    parts = [f"knows {', '.join(yes)}"] if yes else []
    parts += [f"does not know {', '.join(no)}"] if no else []
    return Diagnosis("template", "; ".join(parts))


class _Rendering:
    """Small chats as a tokenizer's template renders them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._in_parts = wants_parts(self._render)

    def of(self, user: str, system: str = "", **options: Any) -> str | None:
        """None where the template does not take it."""
        words = [("system", system)] if system else []
        messages = [
            {"role": role, "content": in_parts(text) if self._in_parts else text}
            for role, text in [*words, ("user", user)]
        ]
        try:
            return self._render(messages, **options)
        except Exception as error:  # any: a template is a program, and fails as its writer made it
            if isinstance(error, MemoryError):  # the machine's failure, not the template's
                raise
            return None

    def _render(self, messages: list[dict[str, Any]], **options: Any) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **options
            )
        )
