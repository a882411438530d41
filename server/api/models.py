"""Models: ``/v1/models``, and the names a request may give as its model.

A model and each adapter on it has a name; a suffix on the name sets the number of iterations: none
for ``NAME:direct``, the manifest's for ``NAME:refine``, up to three for ``NAME:refine-3``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter

from redraft.server.api.depends import ContextDep
from redraft.server.api.errors import ApiError
from redraft.server.api.openapi import READING
from redraft.server.api.schema.answers import Model, ModelList
from redraft.server.config import ServerConfig
from redraft.server.model import ServedModel
from redraft.server.service import Service

router = APIRouter(tags=["models"])
_STARTED = int(time.time())
_SUFFIX = re.compile(r"direct|refine(?:-(?P<iterations>[1-9]\d{0,2}))?")


@dataclass(frozen=True, slots=True)
class Suffix:
    """``iterations`` is None for ``:refine``: the manifest's number."""

    iterations: int | None

    def over(self, default: int) -> int:
        """The iterations of this suffix, where the bare name has ``default``."""
        return max(1, default) if self.iterations is None else self.iterations


@dataclass(frozen=True, slots=True)
class ModelName:
    """What a request names as its model: the model and the suffix."""

    model: ServedModel
    suffix: Suffix | None = None


@router.get("/v1/models", responses=READING)
async def list_models(context: ContextDep) -> ModelList:
    """The served models, each by its name and with each suffix there is."""
    return {"object": "list", "data": list(_cards(context.service, context.config))}


@router.get("/v1/models/{model_id:path}", responses=READING)
async def show_model(model_id: str, context: ContextDep) -> Model:
    """One name of the list."""
    service, config = context.service, context.config
    read_name(model_id, service, config)  # refuses what is not in the list
    return next(model for model in _cards(service, config) if model["id"] == model_id)


def read_name(name: str | None, service: Service, config: ServerConfig) -> ModelName:
    """The model a name stands for, and its suffix; ApiError for one that is not served."""
    if name is None:
        return ModelName(service.model)
    models = service.models
    if name in models:
        return ModelName(models[name])
    base, _, text = name.rpartition(":")
    suffix = _SUFFIX.fullmatch(text) if base in models else None
    if suffix is None or name not in _names(base, config):
        shown = name if len(name) <= 100 else f"{name[:97]}..."
        names = ", ".join(known for served in models for known in _names(served, config))
        message = f"there is no model {shown!r} here; this server has {names}"
        raise ApiError(404, message, code="model_not_found", param="model")
    if text == "direct":
        return ModelName(models[base], Suffix(0))
    iterations = int(suffix["iterations"]) if suffix["iterations"] else None
    return ModelName(models[base], Suffix(iterations))


def _names(served: str, config: ServerConfig) -> list[str]:
    cap = config.max_iterations_cap
    numbered = (f"{served}:refine-{n}" for n in range(1, cap + 1))
    return [served, f"{served}:direct", *([f"{served}:refine"] if cap else []), *numbered]


def _cards(service: Service, config: ServerConfig) -> Iterator[Model]:
    for served in service.models.values():
        default = served.policy(config).max_iterations
        for name in _names(served.name, config):
            suffix = read_name(name, service, config).suffix
            card: Model = {
                "id": name,
                "object": "model",
                "created": _STARTED,
                "owned_by": "redraft",
                "root": served.name,
                "max_model_len": served.engine.window,
                "max_iterations": suffix.over(default) if suffix else default,
                "feedback_form": served.feedback_form,
            }
            if served.adapters.names:
                card["parent"] = served.engine.model
            yield card
