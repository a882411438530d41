"""ServedModel: an engine and how its model is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from redraft.server.config import ServerConfig
from redraft.server.engine.base import Direct, Engine
from redraft.server.refine.asking import Asker, PromptedAsker, SrtAsker, Style
from redraft.server.refine.manifest import DefaultPolicy, Manifest
from redraft.server.refine.trace import Instruction


@dataclass(frozen=True, slots=True)
class ServedModel:
    """An engine and how its model is asked."""

    engine: Engine
    manifest: Manifest | None = None
    direct: Direct | None = None  # the engine's own OpenAI layer, where it has one

    @property
    def style(self) -> Style:
        return self.manifest.style if self.manifest and self.engine.has_tokens else "prompted"

    def policy(self, config: ServerConfig) -> DefaultPolicy:
        """What a request gets that names none: the operator's, else the manifest's."""
        known = self.manifest.policy if self.manifest else DefaultPolicy()
        chosen = {name: getattr(config, name) for name in ("max_iterations", "good_enough", "keep")}
        policy = replace(known, **{k: value for k, value in chosen.items() if value is not None})
        return replace(policy, max_iterations=min(policy.max_iterations, config.max_iterations_cap))

    @property
    def scores(self) -> bool:
        """Does its feedback have a score? A model may have been taught to do without."""
        if self.manifest is None or self.style == "prompted":
            return True
        return "score" in self.manifest.srt_format.components

    def asker(self, instruction: Instruction) -> Asker:
        if self.manifest and self.style == "srt":
            return SrtAsker(self.engine, self.manifest.srt_format, instruction)
        return PromptedAsker(self.engine, instruction)
