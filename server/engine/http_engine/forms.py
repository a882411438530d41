"""Which constraints an upstream takes: found out at its first refusal, and remembered."""

from __future__ import annotations

import logging
import re

from redraft.server.engine.base import Constrains, EngineRefused, Sampling
from redraft.server.engine.forms import held
from redraft.server.engine.http_engine.answer import Unsupported

log = logging.getLogger(__name__)

# Upstreams name the field they do not know, or what they cannot do with it.
_ABOUT_FORM = re.compile(
    r"response_?format|json_?schema|structured[_ ]?output|guided|grammar|extra (?:field|input)",
    re.I,
)


class Forms:
    """Holds completions to the form that is wanted, where the upstream can be held to one."""

    def __init__(self, vllm: bool) -> None:
        self.constrains: Constrains | None = "grammar" if vllm else "json_schema"

    def hold(self, sampling: Sampling) -> Sampling:
        """With the first of the wanted forms that the upstream takes as its constraint."""
        return held(sampling, self.constrains)

    def learn(self, refusal: EngineRefused, sampling: Sampling, sent: Sampling) -> bool:
        """Whether the refusal is of a form that was wanted, not required: the call is worth
        another try then."""
        form = sent.constraint
        if form is None or form is sampling.constraint:
            return False
        param = refusal.param if isinstance(refusal, Unsupported) else ""
        if not _ABOUT_FORM.search(f"{refusal} {param}"):
            return False
        self.constrains = "json_schema" if form.kind == "grammar" else None
        otherwise = "a JSON schema" if self.constrains else "free text"
        log.warning("the upstream refuses a %s; it is asked for %s now", form.kind, otherwise)
        return True
