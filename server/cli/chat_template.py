"""What the doctor finds in a model's tokenizer and chat template, by rendering small chats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redraft.server.cli.diagnosis import Diagnosis

WORD = "zebra"  # to be found again in what is rendered
USER = {"role": "user", "content": "Hello"}
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
    if template is not None:
        tokenizer.chat_template = template
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
    if _render(tokenizer) is None:
        remedy = "give another: --engine-arg chat-template=FILE"
        return Diagnosis("template", "does not render a single message", remedy, wrong=True)
    knows = {
        "system messages": WORD in (_render(tokenizer, system=True) or ""),
        "tools": WORD in (_render(tokenizer, tools=[TOOL]) or ""),
        "enable_thinking": _render(tokenizer, enable_thinking=True)
        != _render(tokenizer, enable_thinking=False),
    }
    yes = [name for name, known in knows.items() if known]
    no = [name for name, known in knows.items() if not known]
    parts = [f"knows {', '.join(yes)}"] if yes else []
    parts += [f"does not know {', '.join(no)}"] if no else []
    return Diagnosis("template", "; ".join(parts))


def _render(tokenizer: Any, system: bool = False, **options: Any) -> str | None:
    """None where the template does not take it."""
    messages = [{"role": "system", "content": WORD}, USER] if system else [USER]
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **options
            )
        )
    except Exception as error:  # any: a template is a program, and fails as its writer made it
        if isinstance(error, MemoryError):  # the machine's failure, not the template's
            raise
        return None
