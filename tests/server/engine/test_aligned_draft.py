"""Speculating from the draft: what is guessed, and that guessing changes no text."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from redraft.server.engine.aligned_draft import AlignedDraft, _nearest

MOST = 8
DRAFT = list(range(100, 164))


def written(refinement: Sequence[int], draft: Sequence[int] = DRAFT) -> tuple[int, int]:
    """Write it as an engine does, verifying guesses: the steps it took, and the tokens guessed."""
    aligned = AlignedDraft(draft)
    aligned.write(refinement[:1])
    place, steps, guessed = 1, 1, 0
    while place < len(refinement):
        guess = aligned.guess(MOST)
        rest = refinement[place:]
        right = next((n for n, token in enumerate(guess) if rest[n : n + 1] != [token]), len(guess))
        aligned.write(rest[: right + 1])
        place, steps, guessed = place + right + 1, steps + 1, guessed + len(guess)
    return steps, guessed


def test_a_refinement_that_repeats_its_draft_takes_few_steps() -> None:
    steps, guessed = written(DRAFT)
    assert steps <= 2 + len(DRAFT) / (MOST - 1)
    assert guessed <= len(DRAFT)


def test_a_refinement_that_copies_nothing_is_not_guessed_at() -> None:
    assert written(range(1000, 1064)) == (64, 0)


def test_common_words_in_other_places_are_hardly_guessed_at() -> None:
    draw = random.Random(1)
    draft, refinement = ([draw.randrange(12) for _ in range(200)] for _ in range(2))
    steps, guessed = written(refinement, draft)
    assert guessed < 100
    assert steps <= 200


@pytest.mark.parametrize(
    ("changed", "most_steps"),
    [
        ([*DRAFT[:30], 7, *DRAFT[31:]], 15),  # one word for another
        ([*DRAFT[:30], 7, 8, 9, *DRAFT[33:]], 18),
        (DRAFT[:30] + DRAFT[34:], 15),  # left out
        ([*DRAFT[:30], 7, *DRAFT[30:]], 16),  # put in
        ([*DRAFT[:30], 7, 8, 9, 7, 8, *DRAFT[30:]], 22),
        (DRAFT[40:] + DRAFT[:40], 18),  # another order
        ([7, *DRAFT[1:]], 16),
        (DRAFT + [7] * 4, 16),
    ],
)
def test_the_place_is_found_again_after_a_change(changed: list[int], most_steps: int) -> None:
    steps, _ = written(changed)
    assert steps <= most_steps


def test_guesses_end_with_the_draft_and_are_no_longer_than_asked() -> None:
    aligned = AlignedDraft(DRAFT)
    aligned.write(DRAFT[:-2])
    assert aligned.guess(MOST) == DRAFT[-2:]
    assert aligned.guess(1) == DRAFT[-2:-1]
    aligned.write(DRAFT[-2:])
    assert aligned.guess(MOST) == []
    aligned.write([7, 8])
    assert aligned.guess(MOST) == []


def test_an_empty_draft_is_never_guessed_from() -> None:
    aligned = AlignedDraft([])
    aligned.write([1, 2, 3])
    assert aligned.guess(MOST) == []


def test_a_guess_depends_on_the_text_alone_not_on_the_steps_it_came_in() -> None:
    draw = random.Random(2)
    for _ in range(50):
        text = [draw.choice((token, 7)) if draw.random() < 0.3 else token for token in DRAFT]
        text = text[: draw.randrange(1, len(text))]
        whole, pieces = AlignedDraft(DRAFT), AlignedDraft(DRAFT)
        whole.write(text)
        while text:
            cut = draw.randrange(1, 9)
            pieces.write(text[:cut])
            text = text[cut:]
        assert whole.guess(MOST) == pieces.guess(MOST)


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        (DRAFT, 64),
        (DRAFT[:20], 20),
        ([*DRAFT[:30], 7, *DRAFT[31:]], 63),
        (DRAFT[:30] + DRAFT[34:], 60),
        ([7, 8, 9, *DRAFT], 64),
        (DRAFT + DRAFT, 64),
        (DRAFT[40:] + DRAFT[:40], 64),
        ([7, DRAFT[3], 7, 8], 0),  # by chance
        ([], 0),
    ],
)
def test_the_tokens_that_a_text_takes_over_are_known(text: list[int], repeated: int) -> None:
    aligned = AlignedDraft(DRAFT)
    aligned.write(text)
    assert len(aligned.repeated) == repeated


def test_of_the_places_where_two_tokens_stand_the_nearest_is_taken() -> None:
    draw = random.Random(3)
    for _ in range(200):
        places = sorted(draw.sample(range(2, 60), draw.randrange(1, 20)))
        at = draw.randrange(60)
        assert _nearest(places, at) == min(places, key=lambda place: abs(place - at))
