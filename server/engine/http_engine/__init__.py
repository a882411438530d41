"""The engine that asks an OpenAI-compatible server elsewhere: a vLLM fleet, or a critic's API.

    engine = await HttpEngine.connect(upstream)

Where the upstream is vLLM, prompts and completions are token ids, so that the phases of a loop
find each other in its prefix cache; start it with --enable-prompt-tokens-details, or it does not
tell how much they found. Elsewhere only Chat prompts work.

    upstream        where the server is, and how patient to be with it
    engine          HttpEngine: finds out what the upstream can do, generates, tries again
    connection      the pooled client: the only file of the server that imports httpx
    request         prompts and samplings to request bodies
    answer          stream events and error bodies, read
    spelled_tokens  special tokens spelled out in content stay text
    pass_through    direct mode: requests and answers as they are
"""

from redraft.server.engine.http_engine.engine import HttpEngine
from redraft.server.engine.http_engine.upstream import Upstream

__all__ = ["HttpEngine", "Upstream"]
