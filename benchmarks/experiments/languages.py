"""Prompts in English, German, French and Spanish that ask the same things; no experiment itself.

    redraft bench experiments languages --each 8 --output languages.jsonl

Makes the file that the experiment ``wordings`` asks beside others. The answers are numbers, so
that any language can be graded alike (``--match number``). The English ones are worded as the
workbench words them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import read
from redraft.server import jsonl
from redraft.server.options import option

LANGUAGES = ("English", "German", "French", "Spanish")
WORDS = ("banana", "tiger", "apple", "pencil", "ladder", "whale", "oven", "lamb", "eagle", "bear")
LETTERS = "aelnr"

ADD = (
    "Add {numbers}.",
    "Addiere {numbers}.",
    "Additionne {numbers}.",
    "Suma {numbers}.",
)
COUNT = (
    "Count the letter {letter} in these words: {words}.",
    "Zähle den Buchstaben {letter} in diesen Wörtern: {words}.",
    "Compte la lettre {letter} dans ces mots : {words}.",
    "Cuenta la letra {letter} en estas palabras: {words}.",
)
LEFT = (
    "There are {start} books in a box. Then Kim buys {more}, sells {less}. How many are left?",
    "In einer Kiste sind {start} Bücher. Dann kauft Kim {more} und verkauft {less}. "
    "Wie viele sind übrig?",
    "Il y a {start} livres dans une boîte. Puis Kim en achète {more} et en vend {less}. "
    "Combien en reste-t-il ?",
    "Hay {start} libros en una caja. Luego Kim compra {more} y vende {less}. ¿Cuántos quedan?",
)


@dataclass(frozen=True, kw_only=True)
class LanguagesOptions:
    output: Path = option("file for the prompts (.jsonl)")
    each: int = option("of each kind in each language", 8, least=1)
    seed: int = option("of the draw", 0)


def main(arguments: Sequence[str]) -> int:
    options = read(LanguagesOptions, "experiments languages", arguments, __doc__)
    count = jsonl.write(options.output, prompts(options.each, options.seed))
    print(f"languages: {count} in {options.output}")
    return 0


def prompts(each: int, seed: int) -> Iterator[dict[str, object]]:
    """The same questions, worded in every language."""
    drawn = random.Random(seed)
    for _ in range(each):
        for kind, slots, answer in (add(drawn), count(drawn), left(drawn)):
            for language, wording in zip(LANGUAGES, kind, strict=True):
                prompt = wording.format(**slots)
                yield {"prompt": prompt, "answers": [str(answer)], "group": language}


Drawn = tuple[tuple[str, ...], dict[str, object], int]


def add(drawn: random.Random) -> Drawn:
    numbers = [drawn.randint(2, 39) for _ in range(drawn.randint(2, 4))]
    return ADD, {"numbers": ", ".join(map(str, numbers))}, sum(numbers)


def count(drawn: random.Random) -> Drawn:
    words, letter = drawn.sample(WORDS, drawn.randint(2, 4)), drawn.choice(LETTERS)
    return COUNT, {"letter": letter, "words": ", ".join(words)}, "".join(words).count(letter)


def left(drawn: random.Random) -> Drawn:
    start, more, less = drawn.randint(20, 50), drawn.randint(2, 19), drawn.randint(2, 19)
    return LEFT, {"start": start, "more": more, "less": less}, start + more - less
