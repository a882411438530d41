"""Lessons and responses as token ids with a loss mask; nothing is cut.

    [chat prompt][draft][FEEDBACK][feedback][REFINEMENT][refinement][eos]     a lesson
    [chat prompt][response][eos]                                              base training

The ids come from the SRT format, never from a rendered text, so that what the server sends in
each phase is, token for token, a prefix of what was trained on. The prompt bears no loss; the
paper puts it on everything after (equation 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redraft.server.options import ConfigError
from redraft.server.refine.srt_format import (
    COMPONENTS,
    SUGGESTIONS,
    WEAKNESSES,
    FormatError,
    SrtFormat,
    parse_feedback,
    render_score,
)
from redraft.train.data.records import Example, Lesson
from redraft.train.data.token_rows import fitting
from redraft.train.data.tokens import Tokenizer

IGNORED = -100  # the label that bears no loss


@dataclass(frozen=True, slots=True)
class Row:
    """One training sequence. The first ``prompt`` ids, ``masked`` of those after, and those at the
    places of ``silent`` bear no loss."""

    ids: tuple[int, ...]
    prompt: int
    masked: int = 0
    silent: frozenset[int] = frozenset()

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> tuple[int, ...]:
        hidden = self.prompt + self.masked
        labels = [*[IGNORED] * hidden, *self.ids[hidden:]]
        for place in self.silent:
            labels[place] = IGNORED
        return tuple(labels)

    @property
    def num_loss_tokens(self) -> int:
        return self.length - self.prompt - self.masked - len(self.silent)

    @property
    def columns(self) -> dict[str, tuple[int, ...]]:
        return {"input_ids": self.ids, "labels": self.labels}


@dataclass(frozen=True, slots=True)
class Lengths:
    """Figures of the rows that are trained on."""

    num_rows: int
    num_tokens: int
    num_loss_tokens: int
    longest: int
    dropped: int  # longer than max_length
    max_length: int


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes the rows for one tokenizer."""

    tokenizer: Tokenizer
    srt_format: SrtFormat
    mask_draft: bool = False
    copied_loss: float = 1.0  # share of the tokens copied from the draft that bear loss
    components: tuple[str, ...] = COMPONENTS

    def lesson(self, lesson: Lesson) -> Row:
        chat = self.tokenizer.encode_chat(lesson.messages)
        draft = self.tokenizer.sampled(lesson.draft, lesson.draft_ids, lesson.tokenizer)
        refinement = self.tokenizer.encode(lesson.refinement)
        if not self.components:  # the ablation without feedback: instruction, refinement
            return Row((*chat, *refinement, self.srt_format.eos_ids[0]), len(chat))
        feedback = self.tokenizer.encode(selected(lesson.feedback, self.components))
        ids = self.srt_format.sequence(chat, draft, feedback, refinement)
        silent: frozenset[int] = frozenset()
        if self.copied_loss < 1:
            start = len(ids) - 1 - len(refinement)
            silent = frozenset(
                start + place
                for place in copied(draft, refinement)
                if not _is_kept(place, self.copied_loss)
            )
        return Row(ids, len(chat), len(draft) if self.mask_draft else 0, silent)

    def response(self, example: Example) -> Row:
        if example.response is None:
            raise ConfigError(f"{example.origin} has no response to learn")
        chat = self.tokenizer.encode_chat(example.messages)
        ids = (*chat, *self.tokenizer.encode(example.response), self.srt_format.eos_ids[0])
        return Row(ids, len(chat))


_RUN = 3  # tokens in a row, as they stand in the draft, make the last of them a copy


def copied(draft: Sequence[int], refinement: Sequence[int]) -> list[int]:
    """The places of the refinement that continue a copy of the draft: what is hard is between
    them."""
    runs = {tuple(draft[at : at + _RUN]) for at in range(len(draft) - _RUN + 1)}
    places = range(_RUN - 1, len(refinement))
    return [place for place in places if tuple(refinement[place - _RUN + 1 : place + 1]) in runs]


def _is_kept(place: int, share: float) -> bool:
    """Of each place the same whenever it is asked, and spread evenly."""
    return int((place + 1) * share) > int(place * share)


def selected(feedback: str, components: tuple[str, ...]) -> str:
    """Feedback with some of its parts only: the ablation of the paper's Table 6."""
    if unknown := set(components) - set(COMPONENTS):
        names = ", ".join(COMPONENTS)
        raise ConfigError(f"unknown feedback component {min(unknown)!r}; known: {names}")
    if set(components) == set(COMPONENTS):
        return feedback
    try:
        parts = parse_feedback(feedback)
    except FormatError as error:
        raise ConfigError(f"feedback cannot be taken apart ({error}); filter it first") from error
    lines = {
        "weaknesses": f"{WEAKNESSES} {parts.weaknesses}",
        "suggestions": f"{SUGGESTIONS} {parts.suggestions}",
        "score": render_score(parts.score),
    }
    return "\n".join(lines[name] for name in COMPONENTS if name in components)


def checked(
    rows: Iterable[Row], window: int, max_length: int | None, max_dropped: float
) -> tuple[list[Row], Lengths]:
    """The rows that fit, and what was found. A row that does not fit is left out whole: cut, it
    would lose its refinement and teach the model to break off."""
    every = list(rows)
    fit = fitting(every, "sequences", window, max_length, max_dropped)
    if empty := sum(row.length <= row.prompt + row.masked for row in fit):
        raise ConfigError(f"{empty} sequences have no token that bears loss")
    return fit, Lengths(
        num_rows=len(fit),
        num_tokens=sum(row.length for row in fit),
        num_loss_tokens=sum(row.num_loss_tokens for row in fit),
        longest=max(row.length for row in every),
        dropped=len(every) - len(fit),
        max_length=max((row.length for row in fit), default=0),
    )


def shown(row: Row, tokenizer: Tokenizer) -> str:
    """A row as text, the part without loss in [[ ]]: what is learnt, before the first step."""
    hidden = row.prompt + row.masked
    hidden_text = tokenizer.decode(row.ids[:hidden], special=True)
    return f"[[{hidden_text}]]{tokenizer.decode(row.ids[hidden:], special=True)}"
