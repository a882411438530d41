"""redraft.json: written by training, verified by the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redraft.server.refine import manifest
from redraft.server.refine.adapters import PhaseAdapters
from redraft.server.refine.manifest import AdapterSection, Calibration, DefaultPolicy, ManifestError
from tests.support.loops import FORMAT, WITHOUT_SCORE

Content = dict[str, Any]  # of redraft.json


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.json").write_text('{"model": "words"}')
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    return tmp_path


def test_a_manifest_reads_back_as_it_was_written(model: Path) -> None:
    policy = DefaultPolicy(max_iterations=2, good_enough=9, keep="best")
    manifest.write(model, FORMAT, policy, (Calibration(10, 50, 47),), {"refined": 0.9})
    read = manifest.read(model)
    assert read is not None
    assert (read.srt_format, read.policy, read.style) == (FORMAT, policy, "srt")
    assert read.calibration == (Calibration(10, 50, 47),)
    assert read.evaluation == {"refined": 0.9}


def test_another_policy_leaves_what_an_adapter_says_of_its_base(
    model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    section = AdapterSection("base", PhaseAdapters(feedback="."))
    figures = {"refined": 0.9}
    manifest.write(adapter, FORMAT, None, (), figures, adapters=section, base=model)
    assert manifest.amend(adapter, DefaultPolicy(2, 9), {"pilot": {"prompts": 60}})
    assert manifest.read_adapters(adapter) == section
    read = manifest.read(adapter, base=model)
    assert read is not None
    assert read.policy == DefaultPolicy(2, 9)
    assert read.evaluation == {"refined": 0.9, "pilot": {"prompts": 60}}


def test_without_a_policy_there_is_none_to_change(model: Path) -> None:
    assert manifest.amend(model, DefaultPolicy(), {}) is None
    (model / manifest.NAME).write_text("[")
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.amend(model, DefaultPolicy(), {})


def test_a_model_without_a_manifest_has_none(model: Path) -> None:
    assert manifest.read(model) is None


@pytest.mark.parametrize(
    ("file", "what"),
    [("tokenizer.json", "tokenizer"), ("chat_template.jinja", "chat template")],
)
def test_a_file_that_changed_since_training_is_refused(model: Path, file: str, what: str) -> None:
    manifest.write(model, FORMAT)
    (model / file).write_text("changed")
    with pytest.raises(ManifestError, match=f"the {what} .* is not the one .*redraft train merge"):
        manifest.read(model)


def test_a_template_inside_the_tokenizer_config_counts_too(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    config = model / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": "{{ a }}"}))
    manifest.write(model, FORMAT)
    assert manifest.read(model) is not None
    config.write_text(json.dumps({"chat_template": "{{ b }}"}))
    with pytest.raises(ManifestError, match="chat template"):
        manifest.read(model)


def rewritten(model: Path, change: Callable[[Content], object]) -> None:
    path = manifest.write(model, FORMAT)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["markers"]["feedback"]["ids"].append(1),
        lambda content: content["markers"]["refinement"].update(text="###"),
        lambda content: content.update(eos_ids=[99]),
    ],
)
def test_a_format_that_was_edited_is_refused(
    model: Path, change: Callable[[Content], object]
) -> None:
    rewritten(model, change)
    with pytest.raises(ManifestError, match="text format"):
        manifest.read(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("markers"),
        lambda content: content.update(format="srt/99"),
        lambda content: content.update(policy={"max_iteration": 1}),
        lambda content: content.update(markers=3),
        lambda content: content.update(policy=None),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_by_name(
    model: Path, change: Callable[[Content], object]
) -> None:
    rewritten(model, change)
    with pytest.raises(ManifestError, match=r"redraft\.json cannot be read"):
        manifest.read(model)


def test_text_that_is_no_json_is_refused(model: Path) -> None:
    (model / "redraft.json").write_text("{")
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.read(model)


def test_a_model_without_a_tokenizer_cannot_get_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"tokenizer\.json"):
        manifest.write(tmp_path, FORMAT)


def test_a_manifest_says_which_parts_the_feedback_has(model: Path) -> None:
    manifest.write(model, WITHOUT_SCORE)
    read = manifest.read(model)
    assert read is not None
    assert read.srt_format.components == ("weaknesses", "suggestions")


def test_a_manifest_from_before_parts_could_be_left_out_has_them_all(model: Path) -> None:
    rewritten(model, lambda content: content.pop("components"))
    read = manifest.read(model)
    assert read is not None
    assert read.srt_format == FORMAT


def test_parts_changed_by_hand_are_refused(model: Path) -> None:
    rewritten(model, lambda content: content.update(components=["score"]))
    with pytest.raises(ManifestError, match="text format"):
        manifest.read(model)


@pytest.mark.parametrize("components", [[], ["praise"], ["score", "weaknesses"], ["score"] * 2])
def test_parts_that_are_none_of_the_format_are_refused(model: Path, components: list[str]) -> None:
    rewritten(model, lambda content: content.update(components=components))
    with pytest.raises(ManifestError, match=r"feedback components are .* expected some of"):
        manifest.read(model)
