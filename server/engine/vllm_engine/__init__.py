"""The engine that runs vLLM in a child process: the only package here that imports vllm.

    settings       the operator's options, and the checks that need no vLLM
    adapters       LoRA adapters: what vLLM takes, checked before it starts
    adapters_on_cpu  what adapters add to a layer's output on a CPU
    nucleus_on_cpu   top_p without sorting all words
    engine         VllmEngine: starts a core, replaces it when it dies, closes it
    core           one AsyncLLM from its start to its end: completions and direct mode
    start          builds a core: environment, command line, process
    number_format  16 or 32 bits on a CPU
    processor      what this machine's can do
    threads        how many compute on a CPU
    memory         what is free on a CPU, and the default size of the KV cache
    arguments      the operator's own arguments for vLLM
    families       the parsers of thoughts and tool calls, by the family of a model
    model_classes  the classes by which vLLM runs models, and what they lack here
    forking        what the forked process must not inherit
    templates      chat templates: where a model keeps its own, how it takes content
    prompts        text and chats to token ids, with no special token recognised in content
    token_text     token ids to text, each token with its own text
    sampling       Sampling to vLLM's parameters
    warm_up        first uses, in the background, before a request has to wait for them
    chats          chats that need vLLM's own chat completions: thoughts, tools, images
    media          parts that are not text, as vLLM reads them
    progress       whether a running engine still gives output, and the end of one that does not
    errors         vLLM's errors, as ours
    direct         vLLM's own OpenAI application, over the same core
    form_trial     whether a required form can be used in time, tried in a process of its own
    leftovers      what vLLM keeps of engines that have ended
    worker         our code in vLLM's worker processes
    speculation    guesses what comes next from predictions, in the worker
    predictions    predictions on their way to the worker
    verifier       verifies guesses, in the worker

vLLM is imported when a core is built and not before, so that importing this package is cheap
and a program can report progress meanwhile.
"""

from redraft.server.engine.vllm_engine.adapters import Adapter
from redraft.server.engine.vllm_engine.engine import VllmEngine
from redraft.server.engine.vllm_engine.settings import VllmSettings

__all__ = ["Adapter", "VllmEngine", "VllmSettings"]
