"""A model that sees, on the real engine: its images, in every phase, asked by OpenAI's own client.
Spans: server, clients"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.support import tiny_vision_model
from tests.support.program import Program, running
from tests.support.serving import Served, serving
from tests.support.tiny_vision_model import PLACEHOLDER, png

pytestmark = pytest.mark.vllm

RED, BLUE = png((255, 0, 0)), png((0, 0, 255))
TEXT: Any = {"type": "text", "text": "What is in this picture?"}
OWN = {"feedback": "It is wrong. Look again.", "trace": True}
PATIENCE_S = 240
ALLOWED = "localhost"  # and not 127.0.0.1, which is the same machine


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    directory = tiny_vision_model.build(tmp_path_factory.mktemp("models") / "seeing")
    hosts = f"allowed-media-domains={ALLOWED}"
    with running(
        *("--model", str(directory), "--engine-arg", hosts), OMP_NUM_THREADS="1"
    ) as started:
        yield started


@pytest.fixture(scope="module")
def client(program: Program) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{program.url}/v1", api_key="none", max_retries=0)


def showing(url: str, *others: str) -> Any:
    images = [{"type": "image_url", "image_url": {"url": each}} for each in (url, *others)]
    return [{"role": "user", "content": [TEXT, *images]}]


def post(program: Program, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{program.url}{path}", json=body, timeout=PATIENCE_S)


class Told:
    """One greedy answer: its log probabilities, and how the loop ended."""

    def __init__(self, client: openai.OpenAI, messages: Any, model: str, stream: bool) -> None:
        refine = {} if model.endswith(":direct") else {"refine": OWN}
        asked: Any = {
            "model": model,
            "messages": messages,
            "stream": stream,
            "logprobs": True,
            "max_tokens": 4,
            "temperature": 0.0,
            "extra_body": refine,
        }
        answer: Any = client.chat.completions.create(**asked)
        chunks = list(answer) if stream else [answer]
        choices = [choice for chunk in chunks for choice in chunk.choices]
        self.logprobs = [
            (entry.token, round(entry.logprob, 2))
            for choice in choices
            for entry in (choice.logprobs.content if choice.logprobs else None) or ()
        ]
        self.outcome = chunks[-1].model_extra["refine"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["seeing", "seeing:direct"])
def test_an_answer_depends_on_the_image(client: openai.OpenAI, model: str, stream: bool) -> None:
    red, again, blue = (
        Told(client, showing(url), model, stream).logprobs for url in (RED, RED, BLUE)
    )
    assert len(red) == 4
    assert red == again
    assert red != blue


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_with_an_image_is_refined(client: openai.OpenAI, stream: bool) -> None:
    outcome = Told(client, showing(RED), "seeing", stream).outcome
    assert outcome["iterations"] == 1
    assert outcome["trace"]["drafts"][0]["tokens"] == 4
    assert outcome["trace"]["iterations"][0]["refinement"]["tokens"] == 4


def test_the_tokens_of_every_image_are_counted(program: Program) -> None:
    def read_for_draft(*urls: str) -> int:
        body = {"messages": showing(*urls) if urls else [{"role": "user", "content": [TEXT]}]}
        answer = post(program, "/v1/chat/completions", **body, max_tokens=4, refine=OWN)
        return int(answer.json()["refine"]["usage"]["draft"]["prompt_tokens"])

    words = read_for_draft()
    assert words > len(["<|user", "end", "assistant|>"])  # those of the text, too
    assert read_for_draft(RED) == words + PLACEHOLDER
    assert read_for_draft(RED, BLUE) == words + 2 * PLACEHOLDER


@pytest.mark.parametrize("phase", ["feedback", "refinement"])
def test_feedback_and_refinement_see_the_image_itself(program: Program, phase: str) -> None:
    """All words and seeds are the same, so that only the image can make a difference."""

    def written(url: str) -> str:
        sampling = {"temperature": 1.0, "max_tokens": 60}
        body = {"messages": showing(url), "response": "A cat.", "seed": 1}
        if phase == "feedback":
            answer = post(program, "/v1/feedback", **body, feedback_sampling=sampling)
            return str(answer.json()["feedback"])
        body |= {"feedback": "Look again.", "refinement": sampling, "trace": True}
        trace = post(program, "/v1/refine", **body).json()["trace"]
        return str(trace["iterations"][0]["refinement"]["text"])

    red, again, blue = written(RED), written(RED), written(BLUE)
    assert red == again
    assert red != blue


def test_a_text_is_read_by_a_template_that_takes_parts_alone(client: openai.OpenAI) -> None:
    def read(text: str) -> int:
        answer = client.chat.completions.create(
            model="seeing:direct", messages=[{"role": "user", "content": text}], max_tokens=4
        )
        assert answer.usage
        return answer.usage.prompt_tokens

    assert read("Name four animals in alphabetical order.") > read("Name four animals.")


def test_an_image_that_is_only_spelled_out_is_text(client: openai.OpenAI) -> None:
    spelled: Any = {"type": "text", "text": tiny_vision_model.IMAGE}
    messages = showing(RED)
    messages[0]["content"].append(spelled)
    assert Told(client, messages, "seeing", stream=False).outcome["iterations"] == 1
    assert Told(client, [{"role": "user", "content": [spelled]}], "seeing", False).logprobs


@pytest.mark.parametrize("model", ["seeing", "seeing:direct"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,AAAA",
        "data:image/png;base64,!!",
        "data:image/png,AAAA",
        "data:text/plain;base64,SGVsbG8=",
        "file:///etc/hostname",
        "ftp://localhost/cat.png",
        "no address",
        "http://localhost:1/cat.png",
    ],
)
def test_an_image_that_cannot_be_read_is_named(
    program: Program, url: str, model: str, stream: bool
) -> None:
    body = {"model": model, "messages": showing(url), "stream": stream}
    answer = post(program, "/v1/chat/completions", **body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == "messages[0].content[1]"
    assert "is of type 'image_url'" in error["message"]


class Gallery:
    """Pictures on a server of its own, which counts who asks for them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def picture(self, request: Request) -> Response:
        from PIL import Image

        self.asked.append(request.url.path)
        content = io.BytesIO()
        Image.new("RGB", (9, 9), (255, 0, 0)).save(content, "PNG")
        return Response(content.getvalue(), media_type="image/png")

    async def elsewhere(self, request: Request) -> Response:
        return RedirectResponse(f"http://127.0.0.1:{request.url.port}/cat.png")

    def open(self) -> Any:
        routes = [Route("/cat.png", self.picture), Route("/moved.png", self.elsewhere)]
        return serving(Starlette(routes=routes))


def test_an_image_is_fetched_from_an_allowed_host_and_from_no_other(program: Program) -> None:
    def asked_for(url: str) -> int:
        body = {"messages": showing(url), "max_tokens": 4, "refine": OWN}
        return post(program, "/v1/chat/completions", **body).status_code

    gallery = Gallery()
    served: Served
    with gallery.open() as served:
        assert asked_for(f"http://127.0.0.1:{served.port}/cat.png") == 400
        assert asked_for(f"http://{ALLOWED}:{served.port}/moved.png") == 400
        assert gallery.asked == []
        assert asked_for(f"http://{ALLOWED}:{served.port}/cat.png") == 200
        assert set(gallery.asked) == {"/cat.png"}
