"""The table of docs/clients.md: what it says is what was recorded, and what was recorded holds.
Spans: server/api"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.matrix import page, results
from tests.clients.matrix.clients import CLIENTS, Client
from tests.clients.matrix.environments import Unavailable
from tests.clients.matrix.real_server import environment as real_environment
from tests.clients.matrix.server import environment
from tests.support import smollm2


def test_the_page_shows_what_was_recorded() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(results.read()), "make clients"


def test_every_client_was_recorded_in_its_pinned_version() -> None:
    recorded = [(row["client"], row["package"], row["version"]) for row in results.read()]
    assert recorded == [(client.name, client.packages[0], client.version) for client in CLIENTS]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    with environment() as chosen:
        yield chosen


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_what_was_recorded(client: Client, servers: dict[str, str]) -> None:
    try:
        row = results.run(client, servers)
    except Unavailable as error:
        pytest.skip(f"{client.name}: {error}")
    (recorded,) = (each for each in results.read() if each["client"] == client.name)
    found = {name: cell["works"] for name, cell in row["cells"].items()}
    assert found == {name: cell["works"] for name, cell in recorded["cells"].items()}, row["cells"]


STRUCTURED = [client for client in CLIENTS if client.structure]


@pytest.fixture(scope="module")
def real_server() -> Iterator[dict[str, str]]:
    smollm2.or_skip()
    with real_environment() as chosen:
        yield chosen


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("client", STRUCTURED, ids=lambda client: client.name)
def test_a_client_parses_an_object_that_smollm2_wrote(
    client: Client, real_server: dict[str, str]
) -> None:
    try:
        cells = results.run_structure(client, real_server)
    except Unavailable as error:
        pytest.skip(f"{client.name}: {error}")
    assert {name: cell["works"] for name, cell in cells.items()} == {
        "refined": True,
        "direct": True,
    }, cells
