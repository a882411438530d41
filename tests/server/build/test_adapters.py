"""What is served on one engine: adapters by name, an adapter as the model, phases by manifest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraft.server.build import build
from redraft.server.build.adapters import Lineup, read
from redraft.server.build.names import ModelFiles
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Call, EngineError, Sampling, complete
from redraft.server.options import ConfigError
from redraft.server.refine import manifest
from redraft.server.refine.adapters import NO_ADAPTERS, PhaseAdapters
from redraft.server.refine.manifest import AdapterSection, ManifestError
from redraft.server.service import Service
from tests.support import tiny_adapter, tiny_model
from tests.support.asgi import send
from tests.support.serving import serving
from tests.support.tiny_engine import ASK
from tests.support.upstream import Scene

CRITIC = {"draft": None, "feedback": ".", "refinement": "."}


def write(directory: Path, **files: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


def says(**content: Any) -> dict[str, Any]:
    return {"format": "srt/1", **content}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base", tokenizer={}, config={})


@pytest.fixture
def poet(tmp_path: Path) -> Path:
    return write(tmp_path / "poet", adapter_config={"r": 8, "base_model_name_or_path": "../base"})


def lineup(directory: Path | None, *lora: str, **options: Any) -> Lineup:
    async def find(name: str) -> ModelFiles:
        if name == "named-base" and directory:
            return ModelFiles(directory.parent / "base", name)
        if not Path(name).is_dir():  # noqa: ASYNC240
            raise EngineError(f"there is no {name}")
        return ModelFiles(Path(name), name)

    files = ModelFiles(directory, directory.name) if directory else None
    return asyncio.run(read(ServerConfig(lora=lora, **options), files, find))


# Which names there are, and who writes their phases


def test_an_adapter_of_the_command_line_is_served_beside_its_base(base: Path, poet: Path) -> None:
    read = lineup(base, f"verse={poet}")
    assert (read.main.name, read.main.adapters) == ("", NO_ADAPTERS)
    (verse,) = read.others
    assert (verse.name, verse.adapters) == ("verse", PhaseAdapters.all("verse"))
    assert [(a.name, a.path) for a in read.adapters] == [("verse", poet)]


def test_an_adapter_as_the_model_is_served_on_its_base(base: Path, poet: Path) -> None:
    read = lineup(poet)
    assert read.base == ModelFiles(base, "base")
    assert (read.main.name, read.main.adapters) == ("poet", PhaseAdapters.all("poet"))
    assert lineup(poet, served_name="mine").main.adapters == PhaseAdapters.all("mine")


def test_its_manifest_names_the_base_and_the_phases(base: Path, poet: Path) -> None:
    write(poet, redraft=says(base="named-base", adapters=CRITIC))
    read = lineup(poet)
    assert read.base == ModelFiles(base, "named-base")
    assert read.main.adapters == PhaseAdapters(None, "poet", "poet")
    assert read.main.manifest is None  # no text format: asked in chat messages


def test_a_phase_may_have_an_adapter_of_a_directory_or_of_the_command_line(
    base: Path, poet: Path
) -> None:
    write(base / "critic", adapter_config={"r": 8})
    write(base, redraft=says(adapters={"feedback": "critic", "refinement": "verse"}))
    read = lineup(base, f"verse={poet}")
    assert (read.main.name, read.main.adapters) == ("", PhaseAdapters(None, "critic", "verse"))
    assert sorted(a.name for a in read.adapters) == ["critic", "verse"]


def test_one_directory_is_loaded_once(base: Path, poet: Path) -> None:
    write(poet, redraft=says(adapters=CRITIC))
    read = lineup(base, f"verse={poet}")
    assert read.others[0].adapters == PhaseAdapters(None, "verse", "verse")
    assert len(read.adapters) == 1


def test_an_adapter_keeps_the_text_format_of_its_base_unless_it_has_its_own(
    base: Path, poet: Path
) -> None:
    form = tiny_model.srt_format()
    manifest.write(base, form, manifest.DefaultPolicy(2))
    (inherits,) = lineup(base, f"verse={poet}").others
    assert inherits.manifest is not None and inherits.manifest.policy.max_iterations == 2
    section = AdapterSection("../base", PhaseAdapters(None, ".", "."))
    manifest.write(poet, form, manifest.DefaultPolicy(3), adapters=section, base=base)
    read = lineup(poet)
    assert read.main.manifest is not None and read.main.manifest.policy.max_iterations == 3
    assert read.base == ModelFiles(base, "base")
    (base / "tokenizer.json").write_text("{} ")
    with pytest.raises(ManifestError, match=r"the tokenizer in .*base is not the one"):
        lineup(poet)


# Refused before anything starts


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (says(adapters={"feedback": "critic"}), "names the adapter 'critic', which is neither"),
        (says(adapters={"critic": "."}), "has the phase 'critic'; the phases are draft"),
        (says(adapters=["."]), "expected a name or null for each phase"),
        (says(base=["."]), "expected the name or the directory of a model"),
        ({"format": "srt/9", "adapters": {}}, "format is 'srt/9', this Redraft reads 'srt/1'"),
        (says(base="nowhere"), "the base of the adapter .*: there is no nowhere"),
        (says(base="../poet"), "is an adapter, too"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused(
    base: Path, poet: Path, written: dict[str, Any], message: str
) -> None:
    write(poet, redraft=written)
    with pytest.raises((ManifestError, EngineError), match=message) as refused:
        lineup(poet)
    assert "\n" not in str(refused.value)


def test_an_adapter_that_names_no_base_is_refused(tmp_path: Path) -> None:
    alone = write(tmp_path / "alone", adapter_config={"r": 8})
    with pytest.raises(ManifestError, match=r'does not say of which model; put .* "base" into'):
        lineup(alone)


@pytest.mark.parametrize(
    ("lora", "options", "message"),
    [
        (["poet"], {}, "expected NAME=ADAPTER"),
        (["=poet"], {}, "expected NAME=ADAPTER"),
        (["a={poet}", "a={poet}"], {}, "two adapters of --lora have the name 'a'"),
        (["base={poet}"], {}, "--lora has the name 'base', which is the model's"),
        (["mine={poet}"], {"served_name": "mine"}, "--lora has the name 'mine'"),
        (["a={poet}"], {"engine": "scripted"}, "--lora is for --engine vllm and http"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    base: Path, poet: Path, lora: Sequence[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        lineup(base, *(text.format(poet=poet) for text in lora), **options)


def test_two_adapters_of_one_name_are_refused(base: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        write(tmp_path / place / "critic", adapter_config={"r": 8})
    phases = {"feedback": "../a/critic", "refinement": "../b/critic"}
    write(base, redraft=says(adapters=phases))
    with pytest.raises(ConfigError, match="two adapters have the name 'critic'"):
        lineup(base)


# Before an upstream


def served_from(scene: Scene, *lora: str) -> list[str]:
    async def names(url: str) -> list[str]:
        config = ServerConfig(engine="http", upstream=url, lora=lora)
        engines = await build(config, print)
        try:
            return [served.direct_name for served in (engines.model, *engines.others)]
        finally:
            await engines.close()

    with serving(scene.app()) as served:
        return asyncio.run(names(served.v1))


def test_an_upstream_has_its_adapters_by_its_own_names() -> None:
    scene = Scene(listed=("poet-v2",))
    assert served_from(scene, "poet=poet-v2") == ["upstream-model", "poet-v2"]
    assert served_from(scene, "poet-v2") == ["upstream-model", "poet-v2"]
    with pytest.raises(ConfigError, match="--lora has the name 'upstream-model', which is the"):
        served_from(scene, "upstream-model=poet-v2")
    with pytest.raises(EngineError, match="has no adapter 'poet'; it lists upstream-model, poet"):
        served_from(scene, "poet")


# On vLLM


@pytest.mark.vllm
def test_the_base_drafts_and_the_adapter_criticises_and_refines(tmp_path: Path) -> None:
    model = tiny_model.build(tmp_path / "tiny")
    for seed, name in enumerate(("critic", "poet")):
        tiny_adapter.build(tmp_path / name, model, seed=seed)
    section = AdapterSection("../tiny", PhaseAdapters(None, ".", "."))
    form = tiny_model.srt_format()
    manifest.write(tmp_path / "critic", form, adapters=section, base=model)
    config = ServerConfig(
        model=str(tmp_path / "critic"),
        lora=(f"poet={tmp_path / 'poet'}",),
        kv_cache_memory_bytes=64 << 20,
    )
    greedy = Sampling(temperature=0.0, max_tokens=24, ignore_eos=True)
    body: dict[str, Any] = {
        "messages": [message.to_json() for message in ASK.messages],
        "max_tokens": 24,
        "temperature": 0,
        "ignore_eos": True,
    }

    async def answers() -> None:
        engines = await build(config, print)
        try:
            service = Service(engines.model, others=engines.others)
            engine = engines.model.engine

            async def written(adapter: str | None) -> str:
                return (await complete(engine, ASK, greedy, Call("a", adapter=adapter))).text

            async def chat(name: str, **more: Any) -> dict[str, Any]:
                path = "/v1/chat/completions"
                answer = await send(service, "POST", path, json=body | more | {"model": name})
                return dict(answer.json())

            def content(answer: dict[str, Any]) -> Any:
                return answer["choices"][0]["message"]["content"]

            base, critic, poet = [await written(name) for name in (None, "critic", "poet")]
            assert len({base, critic, poet}) == 3
            listed = (await send(service, "GET", "/v1/models")).json()["data"]
            assert {card["root"] for card in listed} == {"critic", "poet"}
            assert {card["parent"] for card in listed} == {"tiny"}

            assert content(await chat("critic:direct")) == base
            assert content(await chat("critic:direct", logprobs=True)) == base  # vLLM's own layer
            assert content(await chat("poet:direct")) == poet
            assert content(await chat("poet:direct", logprobs=True)) == poet

            refined = await chat("critic", refine={"feedback": "Shorter.", "trace": True})
            trace = refined["refine"]["trace"]
            assert trace["drafts"][0]["text"] == base
            by_critic = content(refined)
            by_base = await send(
                Service(replace(engines.model, adapters=NO_ADAPTERS)),
                "POST",
                "/v1/chat/completions",
                json=body | {"refine": {"feedback": "Shorter."}},
            )
            assert by_critic != content(by_base.json())
        finally:
            await engines.close()

    asyncio.run(answers())
