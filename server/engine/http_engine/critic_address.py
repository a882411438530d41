"""CriticAddress: where an engine runs that only gives feedback, as ``--critic`` names it."""

from __future__ import annotations

from dataclasses import dataclass

from redraft.server.options import ConfigError


@dataclass(frozen=True)
class CriticAddress:
    """An engine elsewhere, which writes the feedback of requests that name it."""

    name: str
    url: str
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> CriticAddress:
        name, _, rest = text.partition("=")
        url, _, model = rest.partition("|")
        if not name or not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--critic is {text!r}, expected NAME=URL or NAME=URL|MODEL, such as "
                f"strong=http://127.0.0.1:8001/v1"
            )
        return cls(name, url, model)
