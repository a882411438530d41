"""Texts of every shape that a check may meet, drawn by a seed: prose with abbreviations, quotes and
numbers, lists, titles, sections, highlights, several languages, JSON, and all of it in disorder."""

# ruff: noqa: RUF001 - letters that look like Latin ones belong to its texts

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

_SENTENCES = (
    "The sea is calm this morning.",
    "Dr. Lee met Mr. A. Jones at 5 p.m. on Main St. in Paris.",
    "It costs $3.50, which is 12.5% less!",
    "Why do we sleep?",
    'She said, "It is late." Then she left.',
    "However, NASA and the U.S. Navy disagree...",
    "I'M NOT SURE; are YOU?",
    "They sell e.g. apples, pears, and figs.",
    "it begins in lower case.",
    "The end (of the story).",
    "Our well-known plan was A/B tested by IBM Inc. They liked it.",
    "Read chapter 3. It is short.",
    "The best of the lot is the red one; take it.",
    "An answer without any mark",
    "\u201cQuoted,\u201d he wrote \u2014 and paused \u2026 briefly.",
    "Wait... what?",
    "My answer is yes.",
    "Is there anything else I can help with?",
    "The weekend was over, and the children went to school with their teachers.",
)
_FOREIGN = (
    "Le train est en retard de dix minutes et nous attendons sur le quai.",
    "Der Junge ging am Morgen in die Schule und kam am Abend nach Hause.",
    "El niño fue a la escuela por la mañana y volvió a casa por la noche.",
    "Мальчик утром пошёл в школу, а вечером вернулся домой, и это было хорошо.",
    "लड़का सुबह स्कूल गया और शाम को घर लौट आया। यह अच्छा है।",
    "ಹುಡುಗ ಬೆಳಿಗ್ಗೆ ಶಾಲೆಗೆ ಹೋದನು.",
)


def varied_texts(count: int, seed: int = 0) -> Iterator[str]:
    for index in range(count):
        yield _text(random.Random(f"{seed}/{index}"))


def _text(draw: random.Random) -> str:
    parts = [draw.choice(_PARTS)(draw) for _ in range(draw.randint(1, 5))]
    text = draw.choice(["\n\n", "\n\n", "\n", " ", "\n***\n", "\n\n***\n\n", "\n******\n"]).join(
        parts
    )
    return draw.choice(_WRAPPINGS)(text)


def _prose(draw: random.Random) -> str:
    return " ".join(draw.choices(_SENTENCES, k=draw.randint(1, 6)))


def _list(draw: random.Random) -> str:
    mark = draw.choice(["* ", "- ", "1. ", "  * ", "• ", "*", "+ "])
    return "\n".join(mark + draw.choice(_SENTENCES) for _ in range(draw.randint(1, 5)))


def _highlighted(draw: random.Random) -> str:
    words = draw.choice(_SENTENCES).split()
    mark = draw.choice(["*", "**", "***", "* ", "_"])
    at = draw.randrange(len(words))
    words[at] = f"{mark}{words[at]}{mark[::-1]}"
    return " ".join(words)


def _titled(draw: random.Random) -> str:
    return draw.choice(["<<A day out>>", "<<>>", "<< >>", "# A day out", "<A day out>"])


def _sections(draw: random.Random) -> str:
    marker = draw.choice(["Section", "SECTION", "Day", "PARAGRAPH"])
    return "\n".join(
        f"{marker} {number}\n{draw.choice(_SENTENCES)}" for number in range(1, draw.randint(2, 5))
    )


def _placeholders(draw: random.Random) -> str:
    return " ".join(draw.choices(["[name]", "[[date]]", "[]", "[a\nb]", "address"], k=3))


def _postscript(draw: random.Random) -> str:
    mark = draw.choice(["P.S.", "P.P.S", "P. S.", "PS:", "p.s.", "P.P.S."])
    return f"{mark} {draw.choice(_SENTENCES)}"


def _json(draw: random.Random) -> str:
    text = json.dumps({"answer": draw.choice(_SENTENCES), "number": draw.randint(0, 9)})
    return draw.choice([text, f"```json\n{text}\n```", f"```\n{text}\n```", text[:-1]])


def _foreign(draw: random.Random) -> str:
    return " ".join(draw.choices(_FOREIGN, k=2))


_PARTS: tuple[Callable[[random.Random], str], ...] = (
    *(_prose, _prose, _prose, _list, _highlighted, _titled, _sections, _placeholders),
    *(_postscript, _json, _foreign),
)
_WRAPPINGS: tuple[Callable[[str], str], ...] = (
    *(str, str, str, str, str, str.lower, str.upper),
    *(lambda text: f'"{text}"', lambda text: text.replace(",", ""), lambda text: f"\n{text}\n"),
)
