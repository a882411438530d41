"""Everything measured as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from redraft.benchmarks.output import report_markdown

NUMBER = re.compile(r"[-+<]?,*+\.?\d.*|-")  # a figure, or the lack of one


def page(title: str, results: Mapping[str, tuple[Path, dict[str, Any]]]) -> str:
    anchors = {name: f"{number}-{name}" for number, name in enumerate(results, 1)}
    contents = "".join(
        f'<li><a href="#{escape(anchors[name])}">{escape(name)}</a> {escape(result["about"])}</li>'
        for name, (_, result) in results.items()
    )
    sections = "".join(
        section(anchors[name], name, folder, result) for name, (folder, result) in results.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1><ul>{contents}</ul>"
        f"{sections}</main></body></html>\n"
    )


def section(anchor: str, name: str, folder: Path, result: dict[str, Any]) -> str:
    failures = report_markdown.failures(result)
    parts = [
        f'<section id="{escape(anchor)}"><h2>{escape(name)}</h2>',
        f"<p>{escape(result['about'])} <strong>{escape(failures)}</strong></p>",
        *(plot(folder / name) for name in result["plots"]),
        *(table(each) for each in result["tables"]),
        "<details><summary>Configuration</summary>",
        f"<p>{escape(result['made'])}, {escape(result.get('machine', ''))}</p>",
        f"<pre>{escape(json.dumps(result['config'], indent=1))}</pre></details></section>",
    ]
    return "".join(parts)


def plot(path: Path) -> str:
    """An ``img`` element: inlined SVGs would share their styles."""
    if not path.is_file():
        return f"<p>The plot {escape(path.name)} is missing.</p>"
    content = base64.b64encode(path.read_bytes()).decode()
    name = escape(path.stem.replace("-", " "))
    return f'<img alt="plot: {name}" src="data:image/svg+xml;base64,{content}">'


def table(content: dict[str, Any]) -> str:
    columns, rows = content["columns"], content["rows"]
    kinds = [
        "n" if all(NUMBER.fullmatch(row[place]) for row in rows) else "t"
        for place in range(len(columns))
    ]
    named = zip(columns, kinds, strict=True)
    head = "".join(f'<th class="{kind}">{escape(column)}</th>' for column, kind in named)
    body = "".join(
        f"<tr>{''.join(cell(*each) for each in zip(columns, kinds, row, strict=True))}</tr>"
        for row in rows
    )
    note = f"<p>{escape(content['note'])}</p>" if content["note"] else ""
    wide = ' class="wide"' if len(columns) > FITS_A_PHONE else ""
    return (
        f"<h3>{escape(content['title'])}</h3><div><table{wide}><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>{note}"
    )


def cell(column: str, kind: str, text: str) -> str:
    missing = " none" if text == "-" else ""
    return f'<td class="{kind}{missing}" data-of="{escape(column)}">{escape(text)}</td>'


FITS_A_PHONE = 3  # columns
STYLE = """
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
main{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.7rem}h2{margin-top:2.5rem;border-top:1px solid #d5dae0;padding-top:1.5rem}
h3{margin-bottom:.3rem}
img{width:100%;max-width:36rem;height:auto;display:block;margin:1rem 0}
div{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;min-width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d5dae0}
th{vertical-align:bottom}td{vertical-align:top}
.n{text-align:right}.n:first-child{text-align:left}td.n{white-space:nowrap;font-variant-numeric:tabular-nums}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem}
a{color:#2463b0}
@media screen and (max-width:40rem){
h1{font-size:1.4rem}ul{padding-left:1.1rem}
.wide thead{display:none}.wide,.wide tbody{display:block}
.wide tr{display:block;border-bottom:1px solid #d5dae0;padding:.5rem 0}
.wide td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.1rem 0;
text-align:right}
.wide td::before{content:attr(data-of);text-align:left;opacity:.75}
.wide td:first-child{font-weight:600}
.wide td.t:first-child{display:block;text-align:left}
.wide td.t:first-child::before{content:none}.wide .none{display:none}}
@media print{@page{margin:15mm}body{font-size:10pt}main{max-width:none;padding:0}
section{break-inside:auto}img,tr{break-inside:avoid}img{max-width:12cm}
h2,h3{break-after:avoid}thead{display:table-header-group}
div{overflow:visible}table{font-size:.68rem}th,td{padding:.15rem .3rem}td.n{white-space:normal}
details{display:none}
a{color:inherit;text-decoration:none}}
@media screen and (prefers-color-scheme:dark){body{color:#e4e7eb;background:#15181c}
a{color:#7db0f0}img{background:#fff;border-radius:6px}th,td,h2,.wide tr{border-color:#3a414a}}
"""
