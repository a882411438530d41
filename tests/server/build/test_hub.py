"""Models of the hub, from a hub on the loopback, with the real huggingface_hub."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redraft.server.build.fetching import Fetching, FetchingStopped
from redraft.server.build.hub import Hub
from redraft.server.build.repository import HubName, needed
from redraft.server.engine.base import EngineError
from tests.support.fake_hub import COMMIT, WRONG_TOKEN, FakeHub, Repository, fake_hub, model_folder

pytest.importorskip("huggingface_hub")

HUGE = 10**15
TOKEN = "hf_ours"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    folder = tmp_path_factory.mktemp("hub")
    plain = model_folder(
        folder / "plain",
        *("README.md", "pytorch_model.bin", "onnx/model.onnx", "original/consolidated.00.pth"),
        *("chat_template.jinja", "consolidated.safetensors", "training_args.bin"),
    )
    gguf = folder / "gguf"
    gguf.mkdir()
    (gguf / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    adapter = folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    bare = model_folder(folder / "bare")
    (bare / "tokenizer.json").unlink()
    repositories = {
        "acme/plain": Repository(plain),
        "acme/old": Repository(model_folder(folder / "old", weights="pytorch_model.bin")),
        "acme/gated": Repository(plain, gated=True),
        "acme/private": Repository(plain, token=TOKEN),
        "acme/heavy": Repository(plain, sizes={"model.safetensors": HUGE}),
        "acme/wide": Repository(plain, sizes={"tokenizer.json": HUGE}),
        "acme/gguf": Repository(gguf),
        "acme/adapter": Repository(adapter),
        "acme/bare": Repository(bare),
        "acme/broken": Repository(plain, broken=True),
    }
    with fake_hub(repositories) as hub:
        yield hub


@pytest.fixture
def said() -> list[str]:
    return []


Fetch = Callable[..., Path]


@pytest.fixture
def fetch(hub: FakeHub, tmp_path: Path, said: list[str]) -> Fetch:
    def fetch(name: str, url: str = hub.url, memory: int | None = 10**12) -> Path:
        parsed = HubName.parse(name)
        assert parsed
        return Hub(url, tmp_path / "cache").fetch(parsed, Fetching(said.append), memory)

    return fetch


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


def test_what_is_needed_is_fetched_once_and_nothing_else(
    hub: FakeHub, fetch: Fetch, said: list[str]
) -> None:
    hub.downloads.clear()
    directory = fetch("acme/plain")
    needed = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]
    assert sorted(path.name for path in directory.iterdir()) == needed
    assert sorted(hub.downloads) == needed
    assert said[0] == "fetching acme/plain: 4 files, 1 MB"
    assert said[-1].startswith("100% of 1 MB, ")
    said.clear()
    assert fetch("acme/plain") == directory
    assert sorted(hub.downloads) == needed
    assert said == []


def test_weights_that_can_hold_code_are_not_fetched(fetch: Fetch) -> None:
    with pytest.raises(EngineError, match="as pickles, which can hold code"):
        fetch("acme/old")


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_a_revision_follows_an_at_sign(fetch: Fetch, revision: str) -> None:
    assert fetch(f"acme/plain@{revision}").name == COMMIT


def test_what_is_in_the_cache_needs_no_hub(fetch: Fetch, nobody: str, said: list[str]) -> None:
    directory = fetch("acme/plain")
    said.clear()
    assert fetch("acme/plain", nobody) == directory
    assert said == ["the hub cannot be reached; acme/plain is in the cache"]


def test_half_a_model_in_the_cache_is_no_model(fetch: Fetch, nobody: str) -> None:
    (fetch("acme/plain") / "tokenizer.json").unlink()
    with pytest.raises(EngineError, match=r"acme/plain is not complete in .*cache"):
        fetch("acme/plain", nobody)
    fetch("acme/plain")
    fetch("acme/plain", nobody)


def test_an_adapter_is_fetched_as_a_model_is(fetch: Fetch) -> None:
    files = {path.name for path in fetch("acme/adapter").iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}


def test_an_interrupted_download_is_completed(
    hub: FakeHub, fetch: Fetch, tmp_path: Path, said: list[str]
) -> None:
    def stop(line: str) -> None:
        fetching.stopped.set()

    fetching = Fetching(stop)
    with pytest.raises(FetchingStopped):
        Hub(hub.url, tmp_path / "cache").fetch(HubName("acme/plain"), fetching)
    assert (fetch("acme/plain") / "model.safetensors").stat().st_size == 1_000_000


def test_a_private_model_needs_the_token(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"has no model of that name, or it is private.*HF_TOKEN"):
        fetch("acme/private")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert fetch("acme/private").is_dir()


def test_a_token_that_is_refused_is_told(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRONG_TOKEN)
    with pytest.raises(EngineError, match="hub refuses the token; set HF_TOKEN to one that may"):
        fetch("acme/plain")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme/plian", "no directory acme/plian, and the hub has no model of that name"),
        ("acme/plain@v9", "acme/plain has no revision 'v9'; name a branch, a tag or a commit"),
        ("acme/gated", "acme/gated is gated: accept its terms at http://.*/acme/gated, and set HF"),
        ("acme/heavy", r"weights of acme/heavy take 1000000\.0 GB, and this machine has 1000\.0"),
        ("acme/wide", r"acme/wide needs 1000000\.0 GB on the disk of .*free; .* set HF_HOME"),
        ("acme/gguf", "acme/gguf has GGUF files only: vLLM does not read them here; .*upstream"),
        ("acme/bare", "acme/bare has no tokenizer.json"),
        ("acme/broken", "the hub at http://.* cannot be reached, and acme/broken is not complete"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_one_line(
    hub: FakeHub, fetch: Fetch, name: str, message: str
) -> None:
    hub.downloads.clear()
    with pytest.raises(EngineError, match=message) as refused:
        fetch(name)
    assert "\n" not in str(refused.value)
    assert hub.downloads == []


def test_without_the_hub_and_the_model_it_says_where_it_looked(fetch: Fetch, nobody: str) -> None:
    with pytest.raises(EngineError, match=f"the hub at {nobody} cannot be reached, and acme/plain"):
        fetch("acme/plain", nobody)


@pytest.mark.parametrize(
    "text", ["smollm2", "/acme/plain", "./acme", "a/b/c", "acme/plain:Q4", "acme/plain@", "../up"]
)
def test_what_is_no_name_of_the_hub(text: str) -> None:
    assert HubName.parse(text) is None


def test_of_many_shards_all_are_needed_and_their_copies_are_not() -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    plain = ["config.json", "model.safetensors.index.json", "tokenizer.json"]
    other = ["model.fp16.safetensors", "consolidated.safetensors", "pytorch_model.bin", "x/y.json"]
    sizes = dict.fromkeys([*plain, *shards, *other], 1)
    assert needed(sizes, HubName("acme/big")) == sorted([*plain, *shards])


def test_a_model_can_be_looked_at_without_its_weights(
    hub: FakeHub, fetch: Fetch, tmp_path: Path
) -> None:
    hub.downloads.clear()
    ours = Hub(hub.url, tmp_path / "cache")
    directory, to_come = ours.look(HubName("acme/plain"), Fetching(print))
    assert to_come == 1_000_000
    assert (directory / "tokenizer.json").is_file()
    assert "model.safetensors" not in hub.downloads
    fetch("acme/plain")
    assert ours.look(HubName("acme/plain"), Fetching(print)) == (directory, 0)
    with pytest.raises(EngineError, match="weights of acme/heavy take"):
        ours.look(HubName("acme/heavy"), Fetching(print), 10**9)
