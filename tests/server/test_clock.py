"""The clock of the wall may be stepped: no wait, limit or duration goes by it.
Spans: server"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.faults import fault

ROOT = Path(__file__).resolve().parents[2]
# Where the time of day is told, and why; everything else uses a monotonic clock.
TELLS_THE_TIME = {
    "server/api/keys.py": "when a key expires",
    "server/api/outcome.py": "created, in answers",
    "server/api/models.py": "created, of models",
    "server/telemetry/traces.py": "the time of a trace",
    "server/retry.py": "Retry-After as a date",
}
OF_THE_WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}


def reads_the_wall(path: Path) -> bool:
    names = (
        (getattr(node.value, "id", ""), node.attr)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    )
    return not OF_THE_WALL.isdisjoint(names)


@fault(
    "Server",
    "The clock is stepped, forwards or backwards",
    sees="nothing",
    lost="nothing: deadlines, timeouts, rates and back-off go by a monotonic clock",
    recovers="has nothing to recover from",
)
def test_only_what_tells_the_time_reads_the_clock_of_the_wall() -> None:
    reading = filter(reads_the_wall, (ROOT / "server").rglob("*.py"))
    assert {str(path.relative_to(ROOT)) for path in reading} == TELLS_THE_TIME.keys()
