"""The page at ``/``: a real browser asks, and sees draft, feedback and refinement appear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Call, EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import feedback
from tests.support.serving import Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTION = "Capital of France?"


class Gate:
    """Holds each phase at its first token until it is opened."""

    def __init__(self) -> None:
        self.events: dict[str, asyncio.Event] = {}

    def of(self, phase: str) -> asyncio.Event:
        return self.events.setdefault(phase, asyncio.Event())

    async def __call__(self, call: Call, position: int) -> None:
        if position == 1:
            await self.of(call.request_id.split("-")[2]).wait()


@contextmanager
def served_page(
    engine: ScriptedEngine, keys: Sequence[ApiKey] = (), **config: Any
) -> Iterator[tuple[Served, Service]]:
    service = Service(srt_model(engine))
    with serving(build_app(ServerConfig(**config), service, keys)) as served:
        yield served, service


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        # Without its sandbox, as containers that run as root need it; it opens our page only.
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(
            executable_path=chromium, args=options, timeout=180_000
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    """A page on which every error in its console fails the test."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    page.close()
    # That a request was answered with an error is no error of the page.
    assert [error for error in errors if "Failed to load resource" not in error] == []


def ask(page: Page, served: Served, iterations: int = 1) -> None:
    page.goto(served.url)
    page.get_by_label("Instruction").fill(QUESTION)
    page.get_by_role("radio", name=str(iterations), exact=True).check(force=True)
    page.keyboard.press("Control+Enter")


def section(page: Page, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


@pytest.mark.browser
def test_draft_feedback_and_refinement_appear_one_after_the_other(page: Page) -> None:
    gate = Gate()
    script = ("A country.", feedback(4, "No city.", "Name it."), "Paris is it.")
    with served_page(ScriptedEngine(*script, gate=gate)) as (served, _):
        ask(page, served)
        status = page.get_by_role("status")
        draft, said = section(page, "Draft"), section(page, "Feedback on the draft")
        refinement = section(page, "Refinement 1")
        draft.get_by_text("A", exact=True).wait_for()
        assert status.inner_text() == "Writing the draft…"
        assert "No city" not in said.inner_text()
        served.now(gate.of("draft").set)
        draft.get_by_text("A country.").wait_for()
        said.get_by_text("Weaknesses:").wait_for()
        assert status.inner_text() == "Writing feedback 1…"
        served.now(gate.of("feedback").set)
        said.get_by_text("4/10").wait_for()
        refinement.get_by_text("Paris", exact=True).wait_for()
        assert status.inner_text() == "Writing refinement 1…"
        assert "Answer" not in refinement.inner_text()
        served.now(gate.of("refinement").set)
        refinement.get_by_text("Answer").wait_for()
        assert "Paris is it." in refinement.inner_text()
        outcome = section(page, "Outcome").inner_text()
        for shown in ("all iterations were done", "4 → not scored", "Tokens written", "First word"):
            assert shown in outcome
        assert status.inner_text() == "Done."


@pytest.mark.browser
def test_a_draft_that_is_kept_is_shown_as_the_answer(page: Page) -> None:
    with served_page(ScriptedEngine("Paris."), max_iterations=0) as (served, _):
        ask(page, served, iterations=0)
        section(page, "Draft").get_by_text("Answer").wait_for()
        assert not section(page, "Refinement 1").is_visible()
        assert page.get_by_text("Feedback").count() == 0


@pytest.mark.browser
def test_stopping_ends_the_work_and_keeps_what_was_written(page: Page) -> None:
    engine = ScriptedEngine("Paris is the capital.", gate=Gate())
    with served_page(engine) as (served, service):
        ask(page, served)
        section(page, "Draft").get_by_text("Paris", exact=True).wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped.").wait_for()
        served.call(asyncio.wait_for(service.drain(600), 120))
        assert engine.running == 0
        assert section(page, "Draft").inner_text().endswith("Paris")
        assert page.get_by_role("button", name="Ask").is_enabled()


@pytest.mark.browser
def test_escape_stops_too(page: Page) -> None:
    with served_page(ScriptedEngine("Paris it is", gate=Gate())) as (served, _):
        ask(page, served)
        section(page, "Draft").get_by_text("Paris", exact=True).wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("Stopped.").wait_for()


@pytest.mark.browser
def test_an_error_is_shown_in_the_servers_words(page: Page) -> None:
    engine = ScriptedEngine(Fail(EngineUnavailable("the engine is being rebuilt")))
    with served_page(engine) as (served, _):
        ask(page, served)
        alert = page.get_by_role("alert")
        alert.wait_for()
        assert alert.inner_text() == "the engine is being rebuilt"
        assert page.get_by_role("button", name="Ask").is_enabled()


@pytest.mark.browser
def test_a_server_with_keys_is_given_one(page: Page) -> None:
    keys = (ApiKey.of("somebody", "secret"),)
    with served_page(ScriptedEngine("Paris."), keys=keys) as (served, _):
        ask(page, served, iterations=0)
        page.get_by_label("API key").fill("secret")
        page.get_by_role("button", name="Ask").click()
        section(page, "Draft").get_by_text("Answer").wait_for()


@pytest.mark.browser
def test_what_a_model_writes_is_text_and_nothing_else(page: Page) -> None:
    hostile = "<img src=x onerror=alert(1)> <script>alert(2)</script>"
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    script = (hostile, feedback(4, hostile, hostile), hostile + " more")
    with served_page(ScriptedEngine(*script)) as (served, _):
        ask(page, served)
        refinement = section(page, "Refinement 1")
        refinement.get_by_text("Answer").wait_for()
        assert hostile in refinement.inner_text()
        assert page.locator("main img, main script").count() == 0
        assert dialogs == []


@pytest.mark.browser
def test_the_page_asks_nobody_but_its_own_server(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with served_page(ScriptedEngine("Paris.")) as (served, _):
        ask(page, served, iterations=0)
        section(page, "Draft").get_by_text("Answer").wait_for()
        assert len(asked) > 5
        assert all(url.startswith(f"{served.url}/") for url in asked)


@pytest.mark.browser
def test_the_documentation_asks_nobody_but_its_own_server_either(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with served_page(ScriptedEngine()) as (served, _):
        page.goto(f"{served.url}/docs")
        page.get_by_text("/v1/feedback", exact=True).wait_for()
        assert all(url.startswith((f"{served.url}/", "data:")) for url in asked)


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 820, 1600])
def test_it_fits_on_screens_of_every_width(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    long = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 3
    with served_page(ScriptedEngine(long, feedback(4, long), long + ".")) as (served, _):
        ask(page, served)
        section(page, "Refinement 1").get_by_text("Answer").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_everything_can_be_done_from_the_keyboard(page: Page) -> None:
    with served_page(ScriptedEngine("Paris.", feedback(9), "Paris!")) as (served, _):
        page.goto(served.url)
        page.locator("#instruction:focus").wait_for()  # it has the focus from the start
        page.keyboard.type(QUESTION)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Tab")  # past Stop, which can do nothing yet
        assert page.evaluate("document.activeElement.id") == "go"
        page.keyboard.press("Enter")
        section(page, "Refinement 1").get_by_text("Answer").wait_for()


@pytest.mark.browser
def test_a_choice_made_before_the_server_has_introduced_itself_is_kept(page: Page) -> None:
    held: list[Any] = []
    page.route("**/version", lambda route: held.append(route))
    with served_page(ScriptedEngine(model="small"), max_iterations=2) as (served, _):
        page.goto(served.url)
        while not held:
            page.wait_for_timeout(10)
        page.locator("#instruction:focus").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")  # from the usual 1 to 3
        held[0].continue_()
        page.get_by_text("small", exact=True).wait_for()
        three = page.get_by_role("radio", name="3", exact=True)
        assert three.is_checked()
        assert three.evaluate("it => it === document.activeElement")


@pytest.mark.browser
def test_the_server_introduces_its_model(page: Page) -> None:
    with served_page(ScriptedEngine(model="small"), max_iterations=2) as (served, _):
        page.goto(served.url)
        page.get_by_text("small", exact=True).wait_for()
        assert page.get_by_role("radio", name="2", exact=True).is_checked()
