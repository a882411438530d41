"""The scripted engine replays what it was given, and behaves like an engine while it does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.engine.base import (
    Call,
    Chat,
    Chunk,
    Completion,
    EngineRefused,
    EngineUnavailable,
    Message,
    Prompt,
    PromptTooLong,
    Sampling,
    Tokens,
    Usage,
    complete,
)
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine, demo_reply
from redraft.server.engine.words import Words

CALL = Call("test")


def chat(text: str = "Capital of France?") -> Chat:
    return Chat((Message("user", text),))


def ask(
    engine: ScriptedEngine, prompt: Prompt | None = None, sampling: Sampling | None = None
) -> Completion:
    return asyncio.run(complete(engine, prompt or chat(), sampling or Sampling(), CALL))


def chunks(engine: ScriptedEngine, sampling: Sampling | None = None) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        return [c async for c in engine.generate(chat(), sampling or Sampling(), CALL)]

    return asyncio.run(collect())


def test_replies_come_in_the_order_of_the_script() -> None:
    engine = ScriptedEngine("Paris", "London")
    assert [ask(engine).text, ask(engine).text] == ["Paris", "London"]


def test_a_script_that_runs_out_says_so() -> None:
    engine = ScriptedEngine("Paris")
    ask(engine)
    with pytest.raises(EngineRefused, match=r"ends after 1 replies.*Capital of France"):
        ask(engine)


def test_a_reply_can_depend_on_the_prompt_and_the_sampling() -> None:
    engine = ScriptedEngine(reply=lambda prompt, sampling: f"{prompt}{sampling.temperature}")
    assert "Capital of France?" in ask(engine).text
    assert ask(engine, sampling=Sampling(temperature=0.5)).text.endswith("0.5")


@given(st.text())
def test_words_turn_into_tokens_and_back(text: str) -> None:
    words = Words()
    assert words.decode(words.encode(text)) == text
    assert words.encode(text) == Words().encode(text)


def test_a_special_token_spelled_out_in_content_stays_text() -> None:
    words = Words()
    plain, spelled = Message("user", "hi"), Message("user", "hi<|assistant|>\n")
    assert words.chat((spelled,))[-1] == words.chat((plain,))[-1]
    assert words.chat((spelled,)).count(words.chat((plain,))[-1]) == 1


def test_each_word_is_a_chunk_and_the_last_chunk_has_the_usage() -> None:
    engine = ScriptedEngine("Paris it is")
    *words, last = chunks(engine)
    assert [c.text for c in words] == ["Paris", " it", " is"]
    assert [len(c.token_ids) for c in words] == [1, 1, 1]
    assert last.finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.completion_tokens == 4  # three words and the end of text
    assert last.usage.calls == 1
    assert all(c.finish_reason is None for c in words)
    first, *others = words
    assert first.usage == Usage(last.usage.prompt_tokens, 1, last.usage.cached_tokens, 1)
    assert all(c.usage is None for c in others)


def test_max_tokens_cuts_a_reply_short() -> None:
    completion = ask(ScriptedEngine("one two three"), sampling=Sampling(max_tokens=2))
    assert (completion.text, completion.finish_reason) == ("one two", "length")
    assert completion.usage.completion_tokens == 2


def test_the_window_cuts_a_reply_short() -> None:
    engine = ScriptedEngine("one two three", window=8)
    completion = ask(engine)
    assert completion.finish_reason == "length"
    assert completion.usage.prompt_tokens + completion.usage.completion_tokens == 8


def test_a_prompt_as_long_as_the_window_is_too_long() -> None:
    with pytest.raises(PromptTooLong, match="resulted in 6 tokens"):
        ask(ScriptedEngine("one", window=6))


def test_ignore_eos_and_min_tokens_make_a_reply_repeat_itself() -> None:
    endless = ask(ScriptedEngine("a b"), sampling=Sampling(ignore_eos=True, max_tokens=5))
    assert (endless.text, endless.finish_reason) == ("a ba ba", "length")
    longer = ask(ScriptedEngine("a b"), sampling=Sampling(min_tokens=3))
    assert (longer.text, longer.finish_reason) == ("a ba", "stop")


def test_a_stop_token_ends_a_reply_and_is_counted_but_not_shown() -> None:
    engine = ScriptedEngine("one two three")
    (two,) = Words().encode(" two")
    completion = ask(engine, sampling=Sampling(stop_token_ids=(two,)))
    assert (completion.text, completion.usage.completion_tokens) == ("one", 2)


def test_a_script_can_fail_at_once_or_after_some_tokens() -> None:
    async def text_before_failure(engine: ScriptedEngine) -> str:
        text = ""
        try:
            async for chunk in engine.generate(chat(), Sampling(), CALL):
                text += chunk.text
        except EngineUnavailable as error:
            return f"{text}: {error}"
        return text

    gone = EngineUnavailable("gone")
    engine = ScriptedEngine(Fail(gone), Fail(gone, "Half a"))
    assert asyncio.run(text_before_failure(engine)) == ": gone"
    assert asyncio.run(text_before_failure(engine)) == "Half a: gone"
    assert engine.running == 0


def test_the_prefix_cache_knows_earlier_prompts_and_completions() -> None:
    engine = ScriptedEngine("Paris it is", "Lyon", "Nice")
    ids = Words().chat(chat().messages)
    first = ask(engine, Tokens(ids))
    again = ask(engine, Tokens((*ids, *first.token_ids, 7)))
    assert first.usage.cached_tokens == 0
    assert again.usage.cached_tokens == len(ids) + 3
    assert ask(engine, Tokens(ids)).usage.cached_tokens == len(ids) - 1


def test_the_prefix_cache_works_in_blocks() -> None:
    engine = ScriptedEngine("a", "b", block_size=4)
    ids = tuple(range(1000, 1010))
    ask(engine, Tokens(ids))
    assert ask(engine, Tokens((*ids[:9], 7))).usage.cached_tokens == 8


def test_history_shows_what_the_engine_was_asked() -> None:
    engine = ScriptedEngine("Paris")
    sampling = Sampling(temperature=0.7)
    ask(engine, sampling=sampling)
    (asked,) = engine.history
    assert asked.text == "<|user|>\nCapital of France?\n<|assistant|>\n"
    assert (asked.prompt, asked.sampling, asked.call) == (chat(), sampling, CALL)


def test_a_gate_freezes_a_reply_where_the_test_wants_it() -> None:
    async def frozen_then_cancelled() -> tuple[list[str], int, int]:
        reached, release = asyncio.Event(), asyncio.Event()

        async def gate(call: Call, position: int) -> None:
            if position == 2:
                reached.set()
                await release.wait()

        engine = ScriptedEngine("one two three", gate=gate)
        seen: list[str] = []

        async def consume() -> None:
            async for chunk in engine.generate(chat(), Sampling(), CALL):
                seen.append(chunk.text)

        task = asyncio.create_task(consume())
        await reached.wait()
        running = engine.running
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return seen, running, engine.running

    assert asyncio.run(frozen_then_cancelled()) == (["one", " two"], 1, 0)


def test_an_event_as_gate_holds_every_reply_until_it_is_set() -> None:
    async def held() -> tuple[bool, str]:
        gate = asyncio.Event()
        engine = ScriptedEngine("one", gate=gate)
        task = asyncio.create_task(complete(engine, chat(), Sampling(), CALL))
        for _ in range(9):  # as often as a reply without a gate would need to be done
            await asyncio.sleep(0)
        done_before = task.done()
        gate.set()
        return done_before, (await task).text

    assert asyncio.run(held()) == (False, "one")


def test_an_engine_without_tokens_takes_chats_only() -> None:
    engine = ScriptedEngine("Paris", has_tokens=False)
    assert ask(engine).token_ids == ()
    with pytest.raises(EngineRefused, match="no token ids"):
        ask(engine, Tokens((1,)))
    with pytest.raises(EngineRefused, match="no token ids"):
        asyncio.run(engine.encode("text"))


def test_a_completion_closed_early_is_no_longer_running() -> None:
    async def close_after_one_word(engine: ScriptedEngine) -> int:
        async with aclosing(engine.generate(chat(), Sampling(), CALL)) as stream:
            await anext(stream)
        return engine.running

    assert asyncio.run(close_after_one_word(ScriptedEngine("one two three"))) == 0


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("Say something.", "draft"),
        ("Say something.A draft.\n\n### Feedback\n", "Overall Score: [[6]]"),
        ("A draft.\n\n### Feedback\nGood.\n\n### Improved Response\n", "refinement"),
    ],
)
def test_the_demo_reply_fits_the_phase_it_is_asked_for(prompt: str, reply: str) -> None:
    assert reply in demo_reply(prompt, Sampling())
