"""The engine of an OpenAI-compatible server elsewhere: a vLLM fleet, or a critic's API.

    engine = await HttpEngine.connect(upstream)

Where the upstream is vLLM, prompts and completions are token ids, so that the phases of a loop
share its prefix cache; it reports cache hits when started with --enable-prompt-tokens-details.
Other upstreams take Chat prompts only.

    upstream        the server's address, timeouts and retries
    engine          HttpEngine: discovers what the upstream supports, generates, retries
    connection      the pooled client: the only file of the server that imports httpx
    request         prompts and samplings to request bodies
    forms           which constraints it takes, as its refusals show
    answer          parses stream events and error bodies
    spelled_tokens  special tokens spelled out in content stay text
    pass_through    direct mode: forwards requests and answers unchanged
"""

from redraft.server.engine.http_engine.engine import HttpEngine
from redraft.server.engine.http_engine.upstream import Upstream

__all__ = ["HttpEngine", "Upstream"]
