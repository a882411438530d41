"""One self-contained page of everything measured: tables, plots, failures, configuration.

    redraft bench report runs/ --out report.html
    redraft bench report runs/ --out runs/README.md     # as Markdown, its plots beside it

Reads every result under the given folders. The HTML page loads nothing from anywhere. On a phone
each row of a wide table stands by itself, every figure beside the name of its column; on paper
nothing is hidden but the configurations.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.output import report_html, report_markdown
from redraft.server.options import option

# What it buys, then what it costs, then what the training does; others follow by name.
ORDER = (
    *("winrate", "compare", "tasks", "agreement", "compute", "pilot"),
    *("ifeval", "ways"),
    *("iterations", "rerank", "equal-compute", "gate", "critic-quality", "wordings"),
    *("cost-benefit", "targets", "latency", "speculation", "overhead", "soak"),
    *("ablation", "data-curve"),
)
FIELDS = {"name", "about", "made", "config", "figures", "failures", "tables", "plots"}


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    folders: tuple[Path, ...] = option("with results; or single results", positional="FOLDER")
    out: Path = option("the page: .html, or .md", Path("report.html"))
    title: str = option("of the page", "Redraft, measured")


def main(arguments: Sequence[str]) -> int:
    options = read(ReportOptions, "report", arguments, __doc__)
    titles = ordered(options.folders)
    if not titles:
        raise MeasurementFailed(f"no results under {', '.join(map(str, options.folders))}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.out.suffix == ".md":
        text = report_markdown.page(options.title, titles, options.out.parent)
    else:
        text = report_html.page(options.title, titles)
    options.out.write_text(text, encoding="utf-8")
    print(json.dumps({"page": str(options.out), "results": list(titles)}))
    return 0


def ordered(folders: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Every result by its title, in the order of ``ORDER``; results of the same name are told apart
    by their folders."""
    in_order = sorted(results(folders), key=lambda each: place(each[1]["name"]))
    names = Counter(result["name"] for _, result in in_order)
    titles: dict[str, tuple[Path, dict[str, Any]]] = {}
    for folder, result in in_order:
        name = result["name"] if names[result["name"]] == 1 else f"{result['name']}: {folder.name}"
        while name in titles:
            name += "'"
        titles[name] = (folder, result)
    return titles


def results(folders: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each result with the folder of its plots; other JSON files are skipped."""
    for folder in folders:
        for path in sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]:
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                continue  # not ours: ours are always whole
            if isinstance(content, dict) and content.keys() >= FIELDS:
                yield path.parent, content


def place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
