"""The engine that runs vLLM beside this process: the only package here that imports vllm.

    settings   what the operator chooses, and the checks that need no vLLM
    engine     VllmEngine: starts a core, starts the next one when it dies, ends it
    core       one AsyncLLM from its start to its end: completions and direct mode
    start      how a core is built: environment, command line, the process it forks
    prompts    text and chats to token ids, with no special token recognised in content
    token_text token ids to text, each token beside the text it stands for
    sampling   Sampling to vLLM's parameters
    direct     vLLM's own OpenAI application, over the same core
    worker     what vLLM's worker processes need of ours
    speculation    guesses refinements from their drafts, in the worker
    aligned_draft  where a refinement is in its draft, and what to guess

vLLM is imported when a core is built and not before, so that importing this package is cheap
and a program can say what it is waiting for.
"""

from redraft.server.engine.vllm_engine.engine import VllmEngine
from redraft.server.engine.vllm_engine.settings import DraftMarkers, VllmSettings

__all__ = ["DraftMarkers", "VllmEngine", "VllmSettings"]
