"""GuideLLM measures: what counts is that its requests succeed and their tokens are known."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from reporting import ANSWER, BASE, KEY, MODEL, QUESTION, works

folder = Path(tempfile.mkdtemp())
(folder / "questions.jsonl").write_text(json.dumps({"prompt": QUESTION}) + "\n")


def measure(stream):
    """The successful requests of a measurement: their output texts and token counts."""
    report = folder / "report.json"
    backend = f"kind=openai_http,target={BASE.removesuffix('/v1')},model={MODEL},api_key={KEY}"
    command = [
        Path(sys.executable).parent / "guidellm",
        "run",
        *("--backend", f"{backend},stream={stream}"),
        *("--profile", "kind=synchronous"),
        *("--constraint", "kind=max_requests,count=2"),
        *("--data", f"kind=json_file,path={folder / 'questions.jsonl'}"),
        *("--output", f"kind=json,path={report}"),
        "--disable-console",
    ]
    subprocess.run(command, capture_output=True, text=True, check=True)
    requests = json.loads(report.read_text())["benchmarks"][0]["requests"]
    if requests["errored"]:
        raise RuntimeError(requests["errored"][0]["info"]["error"])
    return requests["successful"]


streamed = None


def stream():
    global streamed
    streamed = measure("true")
    return streamed[0]["output"]


works("chat", lambda: measure("false")[0]["output"], ANSWER)
works("stream", stream, ANSWER)
works("usage", lambda: streamed[0]["output_tokens"], True)
