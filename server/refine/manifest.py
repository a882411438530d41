"""redraft.json: the text format and the policy of a trained model, kept beside its weights.

Training writes it with ``write``; the server reads it with ``read`` and refuses to start when
the tokenizer or the chat template beside it are not the ones the model was trained with.

Beside the weights of an adapter it may name the base, whose tokenizer and template count then.
Beside either it may say which adapter writes which phase; ``read_adapters`` reads these two. One
that has nothing else is that of a model asked in chat messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from redraft.server.refine.adapters import PhaseAdapters
from redraft.server.refine.srt_format import (
    COMPONENTS,
    HIGHEST_SCORE,
    LOWEST_SCORE,
    VERSION,
    Marker,
    SrtFormat,
)

NAME = "redraft.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")


class ManifestError(ValueError):
    """The manifest and the model beside it do not belong together."""


@dataclass(frozen=True, slots=True)
class DefaultPolicy:
    """The policy that measured best for this model; the caller's options override it."""

    max_iterations: int = 1
    good_enough: int | None = None
    keep: Literal["best", "last", "vote"] = "last"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often a response with this score was right, on held-out instructions."""

    score: int
    responses: int
    right: int


@dataclass(frozen=True, slots=True)
class Manifest:
    srt_format: SrtFormat
    tokenizer_sha256: str
    template_sha256: str
    style: Literal["srt", "prompted"] = "srt"
    policy: DefaultPolicy = field(default_factory=DefaultPolicy)
    calibration: tuple[Calibration, ...] = ()
    evaluation: Mapping[str, Any] = field(default_factory=dict)  # figures, as the card shows them


@dataclass(frozen=True, slots=True)
class AdapterSection:
    """What a manifest says about adapters."""

    base: str = ""  # a directory beside it, or a name; empty: what the adapter was trained on
    adapters: PhaseAdapters | None = None  # names, or directories beside it; None: not said


def tokenizer_sha256(directory: Path) -> str:
    for name in _TOKENIZER_FILES:
        if (directory / name).is_file():
            return hashlib.sha256((directory / name).read_bytes()).hexdigest()
    raise ManifestError(f"{directory} has none of {', '.join(_TOKENIZER_FILES)}")


def template_sha256(directory: Path) -> str:
    """The hash of the chat template, from either file that transformers keeps it in."""
    beside = directory / "chat_template.jinja"
    if beside.is_file():
        template = beside.read_text(encoding="utf-8")
    else:
        config = directory / "tokenizer_config.json"
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
        template = json.dumps(settings.get("chat_template"))
    return hashlib.sha256(template.encode()).hexdigest()


def write(
    directory: Path,
    srt_format: SrtFormat,
    policy: DefaultPolicy | None = None,
    calibration: tuple[Calibration, ...] = (),
    evaluation: Mapping[str, Any] | None = None,
    *,
    adapters: AdapterSection | None = None,
    base: Path | None = None,
) -> Path:
    """Write the manifest for the model in ``directory``; its tokenizer must be there already.
    For an adapter, ``base`` is the directory of its base, whose tokenizer and template count."""
    tokenizer_in = base or directory
    content: dict[str, Any] = {
        "format": VERSION,
        "format_hash": srt_format.hash,
        "style": "srt",
        "markers": {
            "feedback": asdict(srt_format.feedback),
            "refinement": asdict(srt_format.refinement),
        },
        "eos_ids": srt_format.eos_ids,
        "components": srt_format.components,
        "tokenizer_sha256": tokenizer_sha256(tokenizer_in),
        "template_sha256": template_sha256(tokenizer_in),
        "score_scale": [LOWEST_SCORE, HIGHEST_SCORE],
        "policy": asdict(policy or DefaultPolicy()),
        "calibration": [asdict(row) for row in calibration],
        "evaluation": dict(evaluation or {}),
    }
    if adapters is not None:
        content |= {"base": adapters.base} if adapters.base else {}
        content |= {"adapters": asdict(adapters.adapters)} if adapters.adapters else {}
    path = directory / NAME
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def read(directory: Path, base: Path | None = None) -> Manifest | None:
    """The verified manifest of the model in ``directory``; None when it has none, or one without
    a text format. For an adapter, ``base`` is the directory of its base."""
    path = directory / NAME
    try:
        content = _content(path)
        if content is None or ("markers" not in content and content.keys() & {"base", "adapters"}):
            return None
        manifest, recorded_hash = _from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error, "run 'redraft train merge' again to rewrite it") from error
    _verify(base or directory, manifest, recorded_hash)
    return manifest


def read_adapters(directory: Path) -> AdapterSection:
    """What the manifest in ``directory`` says about adapters; nothing when there is none."""
    path = directory / NAME
    try:
        content = _content(path) or {"format": VERSION}
        _check_version(content)
        base, adapters = content.get("base", ""), content.get("adapters")
        if not isinstance(base, str):
            raise ValueError(f"base is {base!r}, expected the name or the directory of a model")
        return AdapterSection(base, None if adapters is None else PhaseAdapters.from_json(adapters))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error, "mend it or write it again") from error


def _content(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _unreadable(path: Path, error: Exception, advice: str) -> ManifestError:
    return ManifestError(f"{path} cannot be read ({error!r}); {advice}")


def _check_version(content: dict[str, Any]) -> None:
    if content["format"] != VERSION:
        raise ValueError(f"format is {content['format']!r}, this Redraft reads {VERSION!r}")


def _from_json(content: dict[str, Any]) -> tuple[Manifest, str]:
    _check_version(content)
    markers = content["markers"]
    srt_format = SrtFormat(
        feedback=Marker(markers["feedback"]["text"], tuple(markers["feedback"]["ids"])),
        refinement=Marker(markers["refinement"]["text"], tuple(markers["refinement"]["ids"])),
        eos_ids=tuple(content["eos_ids"]),
        components=tuple(content.get("components", COMPONENTS)),
    )
    manifest = Manifest(
        srt_format=srt_format,
        tokenizer_sha256=content["tokenizer_sha256"],
        template_sha256=content["template_sha256"],
        style=content["style"],
        policy=DefaultPolicy(**content["policy"]),
        calibration=tuple(Calibration(**row) for row in content["calibration"]),
        evaluation=content["evaluation"],
    )
    return manifest, content["format_hash"]


def _verify(directory: Path, manifest: Manifest, recorded_hash: str) -> None:
    pairs = {
        "tokenizer": (manifest.tokenizer_sha256, tokenizer_sha256(directory)),
        "chat template": (manifest.template_sha256, template_sha256(directory)),
        "text format": (recorded_hash, manifest.srt_format.hash),
    }
    for part, (expected, actual) in pairs.items():
        if expected != actual:
            raise ManifestError(
                f"the {part} in {directory} is not the one the model was trained with "
                f"({NAME} says {expected[:12]}, found {actual[:12]}); copy the model again from "
                f"where it was trained, or run 'redraft train merge' again"
            )
