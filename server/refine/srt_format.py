"""The SRT text format: markers, the training sequence, and reading feedback.

    [chat prompt][draft][FEEDBACK][feedback][REFINEMENT][refinement][eos]

Training renders whole sequences with it, the server renders their prefixes, both on token ids:
a marker is a fixed sequence of ids, so no text can forge one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

VERSION = "srt/1"
LOWEST_SCORE, HIGHEST_SCORE = 1, 10

# The markers of a tokenizer made for Redraft, such as the workbench's: a special token each.
FEEDBACK_TOKEN, REFINEMENT_TOKEN = "<|feedback|>", "<|refinement|>"
# The markers of any other tokenizer, as text. The words are the paper's (Table 1).
PLAIN_FEEDBACK = "\n\n### Feedback\n"
PLAIN_REFINEMENT = "\n\n### Improved Response\n"

WEAKNESSES, SUGGESTIONS, SCORE = "Weaknesses:", "Suggestions:", "Overall Score:"

# The parts of feedback, in their order. A model may be taught some of them only (the ablation of
# the paper's Table 6), and its feedback needs no others.
COMPONENTS = ("weaknesses", "suggestions", "score")


class FormatError(ValueError):
    """A feedback text that cannot be read."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker: its text, and its token ids."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SrtFormat:
    """The format for one tokenizer."""

    feedback: Marker
    refinement: Marker
    eos_ids: tuple[int, ...]  # any of these ends a refinement; the first is the one trained on
    components: tuple[str, ...] = COMPONENTS  # of its feedback

    def __post_init__(self) -> None:
        if not self.components or self.components != in_order(self.components):
            raise ValueError(
                f"feedback components are {', '.join(self.components) or 'none'}; expected some "
                f"of {', '.join(COMPONENTS)}, in this order"
            )

    @property
    def hash(self) -> str:
        """Changes when anything that training and serving must agree on changes."""
        parts: tuple[object, ...] = (VERSION, self.feedback, self.refinement, self.eos_ids)
        if self.components != COMPONENTS:  # older manifests have no components in their hash
            parts = (*parts, self.components)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def feedback_prompt(self, chat: tuple[int, ...], response: tuple[int, ...]) -> tuple[int, ...]:
        return (*chat, *response, *self.feedback.ids)

    def refinement_prompt(
        self, chat: tuple[int, ...], response: tuple[int, ...], feedback: tuple[int, ...]
    ) -> tuple[int, ...]:
        return (*self.feedback_prompt(chat, response), *feedback, *self.refinement.ids)

    def unadvised_prompt(self, chat: tuple[int, ...], response: tuple[int, ...]) -> tuple[int, ...]:
        """For a refinement without feedback."""
        return (*chat, *response, *self.refinement.ids)

    def sequence(
        self,
        chat: tuple[int, ...],
        response: tuple[int, ...],
        feedback: tuple[int, ...],
        refinement: tuple[int, ...],
    ) -> tuple[int, ...]:
        """The token sequence that stage one trains on."""
        prompt = self.refinement_prompt(chat, response, feedback)
        return (*prompt, *refinement, self.eos_ids[0])

    def stop_token_ids(self) -> tuple[int, ...]:
        """Single tokens that end any phase: end of text, and the markers that are one token."""
        markers = [m.ids[0] for m in (self.feedback, self.refinement) if len(m.ids) == 1]
        return (*self.eos_ids, *markers)

    def marks(self) -> tuple[tuple[int, ...], ...]:
        """The markers as a model writes them."""
        return self.feedback.ids, self.refinement.ids

    def stop_strings(self) -> tuple[str, ...]:
        """The markers that are plain text, ending a phase as text."""
        return tuple(m.text for m in (self.feedback, self.refinement) if len(m.ids) > 1)


def in_order(components: Iterable[str]) -> tuple[str, ...]:
    """The known ones of ``components``, each once, in the order of the format."""
    chosen = set(components)
    return tuple(name for name in COMPONENTS if name in chosen)


@dataclass(frozen=True, slots=True)
class FeedbackParts:
    """Feedback, parsed."""

    weaknesses: str
    suggestions: str
    score: int

    @property
    def complete(self) -> bool:
        """Weaknesses, suggestions and a score: what the paper keeps for training."""
        return bool(self.weaknesses and self.suggestions)


# "Overall Score: [[7]]", "### Overall Score: 7/10", "**Overall Score**: [[7]]", "Score - 7".
# The last one that begins a line counts, else the last: others may be quotations.
# Repeats in both patterns are possessive (*+), so that no text takes more than one pass.
_SCORE = re.compile(
    r"(?:overall\s++)?(?:score|rating)[\s*_`#]*+[:=-]?[\s*_`]*+"
    r"(?:\[\[\s*+(?P<boxed>-?\d++(?:\.\d++)?+)\s*+\]\]"
    r"|(?:\[\s*+)?(?P<bare>-?\d++(?:\.\d++)?+)\s*+\]?+)"
    r"(?:[\s*_`]*+(?:/|out\s++of)\s*+(?P<scale>\d++))?+",
    re.IGNORECASE,
)
_INDENT = re.compile(r"[ \t]*+(?:\d{1,3}[.)])?+[#*_`> \t-]*+")
LONGEST_INDENT = 40  # characters between the beginning of a line and its score
_HEADING = re.compile(
    r"^[ \t]*+(?:\d++[.)]\s*+)?+[#*_ \t]*+"
    r"(?P<name>(?:identify\s++)?weakness(?:es)?|(?:actionable\s++|offer\s++actionable\s++)?"
    r"(?:suggestions?|advice)|(?:overall\s++)?(?:score|rating)|feedback)"
    r"[*_ \t]*+(?::|-|$)[*_ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)


def render_feedback(weaknesses: str, suggestions: str, score: int) -> str:
    """Feedback in the words of the format."""
    if not LOWEST_SCORE <= score <= HIGHEST_SCORE:
        raise ValueError(f"score is {score}; it goes from {LOWEST_SCORE} to {HIGHEST_SCORE}")
    lines = (f"{WEAKNESSES} {weaknesses}", f"{SUGGESTIONS} {suggestions}", render_score(score))
    return "\n".join(lines)


def render_score(score: int) -> str:
    return f"{SCORE} [[{score}]]"


def parse_feedback(text: str) -> FeedbackParts:
    """Parse feedback, with the variations that models write; FormatError without a valid score."""
    score = parse_score(text)
    weaknesses, suggestions = parse_sections(text)
    return FeedbackParts(weaknesses, suggestions, score)


def parse_sections(text: str) -> tuple[str, str]:
    """Weaknesses and suggestions; each empty where the text has none."""
    sections: dict[str, str] = {}
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings, None][1:], strict=True):
        body = text[heading.end() : following.start() if following else len(text)].strip()
        sections.setdefault(_kind(heading["name"]), body)
    return sections.get("weaknesses", ""), sections.get("suggestions", "")


def _kind(heading: str) -> str:
    lowered = heading.lower()
    if "weakness" in lowered:
        return "weaknesses"
    if "suggestion" in lowered or "advice" in lowered:
        return "suggestions"
    return "score"


def parse_score(text: str) -> int:
    """The last overall score in the text, on the scale 1 to 10."""
    mentions = list(_SCORE.finditer(text))
    if not mentions:
        raise FormatError(f"no 'Overall Score: [[1-10]]' in feedback {_shown(text)}")
    leading = [mention for mention in mentions if _begins_line(text, mention.start())]
    last = (leading or mentions)[-1]
    value = float(last["boxed"] or last["bare"])
    scale = float(last["scale"] or HIGHEST_SCORE)
    if scale != HIGHEST_SCORE:
        raise FormatError(f"score is out of {scale:g}, expected out of 10, in {_shown(text)}")
    if not LOWEST_SCORE <= value <= HIGHEST_SCORE:
        raise FormatError(f"score is {value:g}, expected 1 to 10, in {_shown(text)}")
    return round(value)


def _begins_line(text: str, at: int) -> bool:
    before = text[max(0, at - LONGEST_INDENT) : at]
    if "\n" not in before and at > LONGEST_INDENT:
        return False
    return _INDENT.fullmatch(before.rpartition("\n")[2]) is not None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:50]}...{text[-27:]}")
