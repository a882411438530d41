"""Our code in vLLM's worker, and one method more: how many graphs torch has compiled there."""

from __future__ import annotations

import torch._dynamo.utils

from redraft.server.engine.vllm_engine.worker import WorkerExtension


class CountingWorker(WorkerExtension):
    def graphs(self) -> int:
        return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])
