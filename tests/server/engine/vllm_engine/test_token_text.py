"""Tokens and the text they stand for stay together, whatever the tokens are."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from redraft.server.engine.vllm_engine.token_text import TokenText
from tests.support import tiny_model


@cache
def tokenizer() -> Any:
    return tiny_model.tokenizer()


def encode(text: str) -> list[int]:
    return list(tokenizer().encode(text, add_special_tokens=False).ids)


def decode(ids: tuple[int, ...]) -> str:
    return str(tokenizer().decode(list(ids), skip_special_tokens=True))


WORDS = st.text(max_size=40) | st.sampled_from(["the sum is wrong", "naïve 東京 🙂 é", " a  b "])


@given(WORDS, WORDS)
def test_text_comes_back_with_the_tokens_it_was_made_of(prompt: str, text: str) -> None:
    pieces = TokenText(tokenizer(), encode(prompt))
    seen, ids = "", tuple[int, ...]()
    for token_id in encode(text):
        pieces.add([token_id])
        piece, piece_ids = pieces.take()
        seen += piece
        ids = (*ids, *piece_ids)
        assert decode(ids) == seen
    if "\ufffd" not in text:  # a replacement character is held back, as bytes might follow
        assert seen == text
        assert ids == tuple(encode(text))


@given(WORDS, st.integers(0, 60))
def test_a_cut_leaves_no_part_of_what_follows_it(text: str, end: int) -> None:
    text = text.replace("\ufffd", "")
    end = min(end, len(text))
    pieces = TokenText(tokenizer(), [])
    pieces.add(encode(text))
    kept, ids = pieces.cut(end, encode)
    assert kept == text[:end]
    assert decode(ids) == kept


def test_the_bytes_of_an_unfinished_character_are_not_handed_out() -> None:
    pieces = TokenText(tokenizer(), [])
    pieces.add(encode("a🙂")[:-1])
    assert pieces.take() == ("a", tuple(encode("a")))


def test_a_token_that_holds_the_start_of_a_stop_string_is_split() -> None:
    ids = encode(" total")
    assert len(ids) == 1, "the tiny tokenizer knows this word"
    pieces = TokenText(tokenizer(), [])
    pieces.add(ids)
    assert pieces.take(end=4) == ("", ())  # not whole, so not yet
    assert pieces.cut(4, encode) == (" tot", tuple(encode(" tot")))


@given(st.lists(st.integers(0, tiny_model.VOCABULARY - 1), max_size=80))
def test_any_tokens_at_all_can_be_read(ids: list[int]) -> None:
    pieces = TokenText(tokenizer(), [])
    pieces.add(ids)
    text, kept = pieces.take()
    assert len(kept) <= len(ids)
    assert pieces.num_chars == len(text)
