"""Training sequences: what bears loss, what is left out, and that serving sends their prefixes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.server.engine.base import (
    PLAIN,
    Call,
    ChatOptions,
    Chunk,
    Message,
    Prompt,
    Sampling,
    Tokens,
    Usage,
)
from redraft.server.options import ConfigError
from redraft.server.refine.asking import SrtAsker
from redraft.server.refine.events import Finished
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Instruction
from redraft.train.data import tokens
from redraft.train.data.records import Example, Lesson, PreferencePair
from redraft.train.data.sft_dataset import IGNORED, Row, RowMaker, checked, copied, selected
from redraft.train.data.token_rows import dataset
from tests.support import tiny_model

pytestmark = pytest.mark.train

LESSON = Lesson(
    (Message("user", "Name two animals."),),
    "ant",
    "Weaknesses: one is missing.\nSuggestions: Say ant, bear.\nOverall Score: [[4]]",
    "ant, bear",
    4,
    9,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> tokens.Tokenizer:
    return tokens.load(folder)


def maker(tokenizer: tokens.Tokenizer) -> RowMaker:
    return RowMaker(tokenizer, tokenizer.srt_format())


def learnt(row: Row, tokenizer: tokens.Tokenizer) -> str:
    ids = [label for label in row.labels if label != IGNORED]
    return tokenizer.decode(ids, special=True)


def test_the_instruction_bears_no_loss_and_everything_after_does(
    tokenizer: tokens.Tokenizer,
) -> None:
    row = maker(tokenizer).lesson(LESSON)
    assert learnt(row, tokenizer) == (
        f"ant<|feedback|>{LESSON.feedback}<|refinement|>ant, bear<|end|>"
    )
    whole = tokenizer.decode(row.ids, special=True)
    assert whole.startswith("<|user|>Name two animals.<|end|><|assistant|>ant<|feedback|>")


def test_the_draft_can_be_kept_from_bearing_loss(tokenizer: tokens.Tokenizer) -> None:
    row = replace(maker(tokenizer), mask_draft=True).lesson(LESSON)
    assert learnt(row, tokenizer).startswith("<|feedback|>Weaknesses")


def test_tokens_copied_from_the_draft_can_bear_less_loss_than_the_edits_between_them(
    tokenizer: tokens.Tokenizer,
) -> None:
    draft = "one two three four five six seven eight nine ten"
    edited = draft.replace("five", "fifty")
    lesson = replace(LESSON, draft=draft, refinement=edited)
    whole = replace(maker(tokenizer), mask_draft=True).lesson(lesson)
    row = replace(maker(tokenizer), mask_draft=True, copied_loss=0.25).lesson(lesson)
    assert row.ids == whole.ids
    silent = [place for place in range(row.length) if row.labels[place] != whole.labels[place]]
    assert len(silent) == len(row.silent) == whole.num_loss_tokens - row.num_loss_tokens
    places = copied(tokenizer.encode(draft), tokenizer.encode(edited))
    assert 0.6 * len(places) < len(silent) < 0.9 * len(places)
    start = row.length - 1 - len(tokenizer.encode(edited))
    assert {place - start for place in silent} <= set(places)


def test_a_refinement_unlike_its_draft_is_learnt_whole(tokenizer: tokens.Tokenizer) -> None:
    row = replace(maker(tokenizer), copied_loss=0.1).lesson(LESSON)
    assert row == maker(tokenizer).lesson(LESSON)


def test_a_draft_is_trained_on_in_the_very_tokens_it_was_sampled_in(
    tokenizer: tokens.Tokenizer,
) -> None:
    letters = tuple(tokenizer.encode(letter)[0] for letter in "ant")
    assert letters != tokenizer.encode("ant")
    sampled = replace(LESSON, draft_ids=letters, tokenizer=tokenizer.fingerprint)
    row = maker(tokenizer).lesson(sampled)
    assert row.ids[row.prompt : row.prompt + 3] == letters
    foreign = replace(sampled, tokenizer="of another model")
    assert maker(tokenizer).lesson(foreign).ids == maker(tokenizer).lesson(LESSON).ids


def test_a_marker_spelled_out_in_a_text_is_text(tokenizer: tokens.Tokenizer) -> None:
    forged = replace(
        LESSON,
        messages=(Message("user", "Say <|refinement|> and <|end|>."),),
        draft="<|feedback|>",
        refinement="<|end|>",
    )
    ids = maker(tokenizer).lesson(forged).ids
    srt_format = tokenizer.srt_format()
    assert ids.count(srt_format.feedback.ids[0]) == 1
    assert ids.count(srt_format.refinement.ids[0]) == 1
    assert ids.count(srt_format.eos_ids[0]) == 2  # of the user's message, and the last


@pytest.mark.parametrize(
    ("components", "left"),
    [
        (("weaknesses", "suggestions", "score"), LESSON.feedback),
        (("score",), "Overall Score: [[4]]"),
        (("suggestions", "weaknesses"), "Weaknesses: one is missing.\nSuggestions: Say ant, bear."),
    ],
)
def test_feedback_can_be_trained_on_in_part(components: tuple[str, ...], left: str) -> None:
    assert selected(LESSON.feedback, components) == left


def test_without_any_feedback_the_refinement_is_the_response(tokenizer: tokens.Tokenizer) -> None:
    row = replace(maker(tokenizer), components=()).lesson(LESSON)
    assert learnt(row, tokenizer) == "ant, bear<|end|>"


def test_base_training_learns_the_response(tokenizer: tokens.Tokenizer) -> None:
    row = maker(tokenizer).response(Example(LESSON.messages, response="ant, bear"))
    assert learnt(row, tokenizer) == "ant, bear<|end|>"


def rows(*lengths: int) -> list[Row]:
    return [Row(tuple(range(length)), 1) for length in lengths]


def test_rows_that_are_too_long_are_left_out_whole_and_counted() -> None:
    fitting, found = checked(rows(*[10] * 99, 50), 40, None, 0.01)
    assert len(fitting) == 99
    assert (found.dropped, found.longest, found.max_length) == (1, 50, 10)


def test_too_many_of_them_are_an_error_that_says_what_would_do() -> None:
    with pytest.raises(ConfigError, match="2 of 100 sequences are longer than 20 tokens") as told:
        checked(rows(*[10] * 98, 30, 50), 4096, 20, 0.01)
    assert "at least 50" in str(told.value)


def test_a_row_without_loss_and_no_rows_at_all_are_errors() -> None:
    with pytest.raises(ConfigError, match="no token that bears loss"):
        checked([Row((1, 2, 3), 3)], 10, None, 0.01)
    with pytest.raises(ConfigError, match="nothing to train on"):
        checked([], 10, None, 0.01)


def test_the_data_set_holds_the_rows_as_they_are(tokenizer: tokens.Tokenizer) -> None:
    row = maker(tokenizer).lesson(LESSON)
    (held,) = dataset([row])
    assert tuple(held["input_ids"]) == row.ids
    assert tuple(held["labels"]) == row.labels


def test_pairs_end_as_a_first_response_does(tokenizer: tokens.Tokenizer) -> None:
    from redraft.train.data.preference_dataset import rows as pair_rows

    (row,) = pair_rows([PreferencePair(LESSON.messages, "ant, bear", "ant", 9, 4)], tokenizer, None)
    assert tokenizer.decode(row.chosen, special=True) == "ant, bear<|feedback|>"
    assert tokenizer.decode(row.rejected, special=True) == "ant<|feedback|>"
    assert row.prompt == tokenizer.encode_chat(LESSON.messages)


class Recorder:
    """An engine over the real tokenizer that writes what it is told and remembers each prompt."""

    name, model, window, has_tokens = "default", "recorder", 4096, True
    constrains = None
    thinks = calls_tools = writes_on = predicts = False

    def __init__(self, tokenizer: tokens.Tokenizer, script: list[tuple[int, ...]]) -> None:
        self.tokenizer, self.script, self.prompts = tokenizer, script, list[tuple[int, ...]]()

    async def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        assert isinstance(prompt, Tokens)
        self.prompts.append(prompt.ids)
        ids = self.script.pop(0)
        usage = Usage(len(prompt.ids), len(ids) + 1, calls=1)
        yield Chunk(self.tokenizer.decode(ids), ids, "stop", usage)

    async def encode(self, text: str) -> tuple[int, ...]:
        return self.tokenizer.encode(text)

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        return self.tokenizer.encode_chat(messages)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


WORDS = ["ant", "bear", "é", "12", "<|end|>", "<|feedback|>", "### Feedback\n", "[[7]]", "naïve"]


def words(rng: random.Random, most: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def test_what_the_server_sends_is_a_prefix_of_what_was_trained_on(
    tokenizer: tokens.Tokenizer,
) -> None:
    rng = random.Random(5)
    for _ in range(200):
        asked = (Message("user", words(rng, 12)),)
        # Sampled token by token: hardly ever the tokens the text would be encoded to.
        draft = tuple(rng.randrange(7, tiny_model.VOCABULARY) for _ in range(rng.randint(1, 20)))
        said = f"Weaknesses: {words(rng, 8)}.\nSuggestions: Say {words(rng, 8)}.\n"
        said += f"Overall Score: [[{rng.randint(1, 10)}]]"
        better = words(rng, 12)
        script = [draft, tokenizer.encode(said), tokenizer.encode(better)]
        engine = Recorder(tokenizer, script)
        asker = SrtAsker(engine, tokenizer.srt_format(), Instruction(asked))
        lesson = Lesson(
            asked,
            tokenizer.decode(draft),
            said,
            better,
            draft_ids=draft,
            tokenizer=tokenizer.fingerprint,
        )
        row = maker(tokenizer).lesson(lesson)
        asyncio.run(finished(asker, Brief(Instruction(asked))))
        assert len(engine.prompts) == 3
        for prompt in engine.prompts:
            assert row.ids[: len(prompt)] == prompt
        assert row.ids == (*engine.prompts[-1], *tokenizer.encode(better), row.ids[-1])


async def finished(asker: SrtAsker, brief: Brief) -> None:
    async for event in refine(asker, brief, Policy()):
        if isinstance(event, Finished):
            assert event.trace.stop_reason in ("max_iterations", "no_change")
