"""ServedModel: an engine and the manifest of its model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from redraft.server.config import ServerConfig
from redraft.server.engine.base import Direct, Engine
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
        if self.manifest and self.style == "srt":
            return SrtAsker(self.engine, self.manifest.srt_format, instruction)
        return PromptedAsker(self.engine, instruction, self.requests)
