"""OpenAI's ``prediction`` on real vLLM, through the API and the stock SDK: the answer is the one
without, in whatever mode, and a right prediction takes fewer steps.
Spans: server/api, server/refine, server/engine/vllm_engine, models"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import openai
import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.model import ServedModel
from redraft.server.refine import manifest
from redraft.server.service import Service
from redraft.train.workbench.tasks import sample
from tests.support import speculating
from tests.support.speculating import Pair, counted, pair_of
from tests.support.tiny_engine import Running

pytestmark = pytest.mark.vllm
T = TypeVar("T")

PHASE_TOKENS = speculating.PHASE_TOKENS
MESSAGES: Any = [{"role": "user", "content": "water word the time"}]
GREEDY: dict[str, Any] = {"temperature": 0}
SEEDED: dict[str, Any] = {"temperature": 1, "seed": 3}


@dataclass(frozen=True)
class Told:
    """An answer as a client has it."""

    text: str
    reasoning: str
    finish_reason: str
    tokens: int
    accepted: int | None
    rejected: int | None

    @property
    def written(self) -> tuple[str, str, str, int]:
        return self.text, self.reasoning, self.finish_reason, self.tokens


@dataclass(frozen=True)
class Client:
    """The stock SDK, on an app over one engine."""

    running: Running
    sdk: Any  # openai.AsyncOpenAI, whose overloads want every field spelled out

    def ask(
        self, prediction: str | None = None, mode: str = "direct", stream: bool = False, **body: Any
    ) -> Told:
        if prediction is not None:
            body["prediction"] = {"type": "content", "content": prediction}
        asked = {"messages": MESSAGES, "model": f"{self.running.engine.model}:{mode}", **body}
        return self.running.run(self._streamed(asked) if stream else self._whole(asked))

    async def _whole(self, asked: Any) -> Told:
        answer = await self.sdk.chat.completions.create(**asked)
        (choice,) = answer.choices
        reasoning = getattr(choice.message, "reasoning", None)
        return _told(choice.message.content, reasoning, choice.finish_reason, answer.usage)

    async def _streamed(self, asked: Any) -> Told:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        text, reasoning, reason, usage = "", "", None, None
        async for chunk in await self.sdk.chat.completions.create(**asked, **options):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasoning += getattr(choice.delta, "reasoning", None) or ""
                reason = choice.finish_reason or reason
        return _told(text, reasoning, reason, usage)


def _told(text: Any, reasoning: Any, finish_reason: Any, usage: Any) -> Told:
    details = usage.completion_tokens_details
    counts = (details.accepted_prediction_tokens, details.rejected_prediction_tokens)
    return Told(text, reasoning or "", finish_reason, usage.completion_tokens, *counts)


def client_of(running: Running, model: Path) -> Client:
    engine = running.engine
    served = ServedModel(engine, manifest.read(model), direct=engine.direct)
    transport: Any = httpx.AsyncClient(
        transport=httpx.ASGITransport(build_app(ServerConfig(), Service(served)))
    )
    sdk = openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=transport)
    return Client(running, sdk)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speculating.phased(tmp_path_factory.mktemp("phased"))


@pytest.fixture(scope="module")
def pair(model: Path) -> Iterator[Pair]:
    with pair_of(model, max_model_len=1024) as both:
        yield both


@pytest.fixture(scope="module")
def plain(pair: Pair, model: Path) -> Client:
    return client_of(pair.plain, model)


@pytest.fixture(scope="module")
def guessing(pair: Pair, model: Path) -> Client:
    return client_of(pair.speculating, model)


def counting(client: Client, work: Callable[[], T]) -> tuple[T, float]:
    """What ``work`` gives, and the tokens of it that took no step of their own."""
    before = counted(client.running)[1]
    result = work()
    return result, counted(client.running)[1] - before


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@pytest.mark.parametrize("mode", ["direct", "refine"])
def test_the_answer_is_the_one_without(
    plain: Client, guessing: Client, mode: str, sampling: dict[str, Any], stream: bool
) -> None:
    asked = {"mode": mode, "stream": stream, **sampling}
    without = plain.ask(**asked)
    assert guessing.ask(**asked).written == without.written
    draft = plain.ask(**{**asked, "mode": "direct"}).text
    right = guessing.ask(draft, **asked)
    assert right.written == without.written
    wrong = guessing.ask("together three " * 40, **asked)
    assert wrong.written == without.written
    assert (wrong.accepted, wrong.rejected) == (0, 80)
    assert right.accepted is not None and right.rejected is not None
    if mode == "direct":
        assert (right.accepted, right.rejected) == (PHASE_TOKENS, 0)
    else:  # a refinement keeps four words in five of its draft
        assert right.accepted + right.rejected == PHASE_TOKENS
        assert right.accepted >= 0.6 * PHASE_TOKENS


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_a_right_prediction_takes_few_steps_and_a_wrong_one_no_more_than_none(
    plain: Client, guessing: Client, sampling: dict[str, Any]
) -> None:
    draft = plain.ask(**sampling).text
    for prediction in (None, "together " * 60):
        assert counting(guessing, partial(guessing.ask, prediction, **sampling))[1] == 0
    _, right = counting(guessing, lambda: guessing.ask(draft, **sampling))
    assert right > 0.7 * PHASE_TOKENS


def test_the_draft_of_a_loop_is_guessed_from_the_prediction_the_refinement_from_its_draft(
    plain: Client, guessing: Client
) -> None:
    draft = plain.ask(**GREEDY).text
    _, refinement = counting(guessing, lambda: guessing.ask(mode="refine", **GREEDY))
    _, both = counting(guessing, lambda: guessing.ask(draft, mode="refine", **GREEDY))
    assert refinement > PHASE_TOKENS / 4
    assert both > refinement + 0.7 * PHASE_TOKENS


def refined(client: Client, response: str) -> Any:
    body = {"messages": MESSAGES, "response": response, "seed": 3}
    body["model"] = client.running.engine.model
    return client.running.run(client.sdk.post("/refine", cast_to=httpx.Response, body=body)).json()


def test_a_response_to_refine_is_what_its_refinement_is_guessed_from(
    plain: Client, guessing: Client
) -> None:
    response = plain.ask(**SEEDED).text
    answer, accepted = counting(guessing, lambda: refined(guessing, response))
    assert accepted > PHASE_TOKENS / 4
    assert answer["answer"] == refined(plain, response)["answer"]
    details = answer["usage"]["completion_tokens_details"]
    told = [details[f"{how}_prediction_tokens"] for how in ("accepted", "rejected")]
    assert sum(told) == PHASE_TOKENS
    assert told[0] >= 0.6 * PHASE_TOKENS


def test_without_speculation_it_is_accepted_and_ignored(plain: Client) -> None:
    without = plain.ask(**SEEDED)
    assert plain.ask(without.text, **SEEDED) == without
    assert without.accepted is without.rejected is None


@pytest.mark.parametrize(
    "own", [{"n": 2}, {"extra_body": {"bad_words": ["a7a"], "vllm_xargs": {"a": 1}}}]
)
def test_answers_of_vllms_own_layer_are_the_same_and_guessed(
    plain: Client, guessing: Client, own: dict[str, Any]
) -> None:
    def texts(client: Client, **more: Any) -> list[str]:
        asked = {"model": f"{client.running.engine.model}:direct", "messages": MESSAGES}
        work = client.sdk.chat.completions.create(**asked, **SEEDED, **own, **more)
        return [choice.message.content for choice in client.running.run(work).choices]

    without = texts(plain)
    prediction = {"type": "content", "content": without[0]}
    predicted, accepted = counting(guessing, lambda: texts(guessing, prediction=prediction))
    assert predicted == without
    assert accepted > PHASE_TOKENS / 4


def test_a_prediction_that_no_answer_could_hold_is_ignored(plain: Client, guessing: Client) -> None:
    told = guessing.ask("water " * 400_000, **SEEDED)
    assert told.written == plain.ask(**SEEDED).written
    assert told.accepted is told.rejected is None


def test_a_special_token_in_a_prediction_is_text(plain: Client, guessing: Client) -> None:
    draft = plain.ask(**GREEDY)
    told = guessing.ask(f"<|feedback|>{draft.text}<|end|><|refinement|>", **GREEDY)
    assert told.written == draft.written


@pytest.mark.parametrize("mode", ["direct", "refine"])
def test_the_shipped_model_says_the_same(root: Path, mode: str) -> None:
    model = root / "models" / "redraft-workbench"
    with pair_of(model) as both:
        plain, guessing = client_of(both.plain, model), client_of(both.speculating, model)
        for number, task in enumerate(sample("test", None, 4, seed=3)):
            asked: dict[str, Any] = {
                "messages": [{"role": "user", "content": task.instruction}],
                "mode": mode,
                **(GREEDY if number % 2 else {"temperature": 0.7, "seed": number}),
            }
            draft = plain.ask(**{**asked, "mode": "direct"}).text
            told, accepted = counting(guessing, partial(guessing.ask, draft, **asked))
            assert told.written == plain.ask(**asked).written
            assert accepted > 0
            if mode == "direct":
                assert told.rejected == 0
