"""ServedModel: an engine, the manifest of its model, and the adapters that write its phases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from redraft.server.config import ServerConfig
from redraft.server.engine.base import Direct, Engine
from redraft.server.refine.adapters import NO_ADAPTERS, AdaptedAsker, PhaseAdapters
from redraft.server.refine.asking import Asker, PromptedAsker, SrtAsker, Style
from redraft.server.refine.feedback_form import FormOrigin
from redraft.server.refine.manifest import DefaultPolicy, Manifest
from redraft.server.refine.requests import Requests
from redraft.server.refine.trace import Instruction


@dataclass(frozen=True, slots=True)
class ServedModel:
    """An engine, and the style, policy and prompts of its model."""

    engine: Engine
    manifest: Manifest | None = None
    direct: Direct | None = None  # the engine's own OpenAI layer, where it has one
    requests: Requests = field(default_factory=Requests)  # of the prompted style
    served_name: str = ""  # what clients call it; empty: the engine's name for its model
    adapters: PhaseAdapters = NO_ADAPTERS

    @property
    def name(self) -> str:
        return self.served_name or self.engine.model

    @property
    def direct_name(self) -> str:
        """What direct mode asks for: whatever writes its drafts."""
        return self.adapters.draft or self.engine.model

    @property
    def gave_up(self) -> asyncio.Event | None:
        """Set while an engine that runs here cannot be brought back; None for one elsewhere."""
        return getattr(self.engine, "gave_up", None)

    @property
    def style(self) -> Style:
        return self.manifest.style if self.manifest and self.engine.has_tokens else "prompted"

    @property
    def feedback_form(self) -> FormOrigin:
        return "trained" if self.style == "srt" else self.engine.constrains or "free_text"

    def policy(self, config: ServerConfig) -> DefaultPolicy:
        """The default of requests: the operator's options, else the manifest's."""
        policy = self.manifest.policy if self.manifest else DefaultPolicy()
        chosen = {name: getattr(config, name) for name in ("max_iterations", "good_enough", "keep")}
        policy = replace(policy, **{k: value for k, value in chosen.items() if value is not None})
        return replace(policy, max_iterations=min(policy.max_iterations, config.max_iterations_cap))

    @property
    def scores(self) -> bool:
        """Whether its feedback has scores; a model may have been taught feedback without them."""
        if self.manifest is None or self.style == "prompted":
            return True
        return "score" in self.manifest.srt_format.components

    def asker(self, instruction: Instruction) -> Asker:
        media = any(message.has_media for message in instruction.messages)
        if self.manifest and self.style == "srt" and not media:  # which no token sequence can hold
            return self.adapted(SrtAsker(self.engine, self.manifest.srt_format, instruction))
        return self.adapted(PromptedAsker(self.engine, instruction, self.requests))

    def adapted(self, asker: Asker) -> Asker:
        """The asker, with this model's adapters for its phases."""
        return AdaptedAsker(asker, self.adapters) if self.adapters.names else asker
