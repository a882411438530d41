"""A folder to train in: the tiny model, a few lessons about animals, and pairs made of them."""

from __future__ import annotations

from pathlib import Path

from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.train.data.records import Lesson, PreferencePair
from tests.support import tiny_model

WORDS = ("ant", "bear", "cow", "dog", "elk", "fox")


def write(folder: Path) -> Path:
    """``model``, ``lessons.jsonl`` and ``pairs.jsonl`` in the folder."""
    tiny_model.build(folder / "model")
    lessons = [_lesson(count) for count in range(1, len(WORDS))]
    jsonl.write(folder / "lessons.jsonl", (lesson.to_json() for lesson in lessons))
    pairs = [PreferencePair(le.messages, le.refinement, le.draft, 9, 2) for le in lessons]
    jsonl.write(folder / "pairs.jsonl", (pair.to_json() for pair in pairs))
    return folder


def _lesson(count: int) -> Lesson:
    said = f"Weaknesses: too few of {count}.\nSuggestions: Say {WORDS[count]}."
    return Lesson(
        (Message("user", f"Name {count} animals, please."),),
        " ".join(WORDS[:count]),
        f"{said}\nOverall Score: [[{count}]]",
        " ".join(WORDS[: count + 1]),
        count,
        count + 1,
    )
