"""Checks for the shape of a response: how it starts and ends, and what it is divided into."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redraft.server.refine.checks.arguments import text, whole
from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed, passed
from redraft.server.refine.checks.counting import count_kind
from redraft.server.refine.checks.evidence import counted, quote, quote_end
from redraft.server.refine.checks.splitting import Text

_QUOTES = "\"'\u201c\u2018"
_AFTER_WORD = re.compile("[.,?!'\"\u2019\u201d]")
_BULLET = re.compile(r"^[^\S\n]*(?:\*[^*\n]|[-•]).*$", re.MULTILINE)
_NUMBERED = re.compile(r"^[^\S\n]*\d{1,4}[.)][^\S\n]+\S.*$", re.MULTILINE)
_HIGHLIGHT = re.compile(r"\*\*([^\n*]+)\*\*|\*([^\n*]+)\*")
_PLACEHOLDER = re.compile(r"\[[^\n\[\]]*\]")
_HEADING = re.compile(r"^#{1,6}[^\S\n]+\S.*$", re.MULTILINE)


def _starts(response: Text, arguments: Arguments) -> Verified:
    return _begins(response, arguments["text"], "Begin with")


def _begins(response: Text, beginning: str, advice: str) -> Verified:
    beginning = beginning.strip()
    evidence = f"begins {quote(response.stripped)}"
    if response.stripped.lower().startswith(beginning.lower()):
        return passed(evidence)
    return failed(evidence, f"{advice} {quote(beginning)}.")


def _ends(response: Text, arguments: Arguments) -> Verified:
    wanted = arguments["text"].strip()
    evidence = f"ends {quote_end(response.stripped)}"
    ending = response.stripped.strip('"').lower()
    if ending.endswith(wanted.strip('"').lower()) or response.stripped.lower().endswith(
        wanted.lower()
    ):
        return passed(evidence)
    return failed(evidence, f"End with {quote(wanted)}, and nothing after it.")


def _quoted(response: Text, _: Arguments) -> Verified:
    whole_text = response.stripped
    evidence = f"begins {quote(whole_text, 20)} and ends {quote_end(whole_text, 20)}"
    if len(whole_text) > 1 and whole_text[0] == whole_text[-1] == '"':
        return passed(evidence)
    return failed(evidence, "Put the whole answer in double quotation marks.")


def _titled(response: Text, _: Arguments) -> Verified:
    for line in response.lines:
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end and line[start:end].strip("<> \t"):
            return passed(f"found {quote(line[start : end + 2])}")
    advice = "Add a title in double angular brackets, such as <<title>>."
    return failed(f"no title; begins {quote(response.stripped)}", advice)


def _sections(response: Text, arguments: Arguments) -> Sequence[str]:
    marker = re.escape(arguments["marker"].strip())
    return [match[0].strip() for match in re.finditer(rf"{marker}\s?\d+", response.raw)]


def _highlights(response: Text, _: Arguments) -> Sequence[str]:
    return [match[0] for match in _HIGHLIGHT.finditer(response.raw) if match[0].strip("* \t")]


def _postscript(response: Text, arguments: Arguments) -> Verified:
    marker = arguments.get("marker", "P.S.").strip()
    pattern = r"\.\s?".join(map(re.escape, marker.split(".")))  # "P. S." is "P.S.", too
    match = re.search(rf"(?<!\w){pattern}", response.raw, re.IGNORECASE)
    if match is None:
        advice = f"Add a postscript at the end that starts with {quote(marker)}."
        return failed(f"ends {quote_end(response.stripped)}", advice)
    return passed(f"found {quote(response.raw[match.start() :])}")


def _parts(response: Text, arguments: Arguments) -> Sequence[str]:
    parts = response.raw.split(arguments["separator"])
    return [part.strip() for part in parts if part.strip()]


def _two_responses(response: Text, _: Arguments) -> Verified:
    parts = [part.strip() for part in response.raw.split("******")]
    full = [part for part in parts if part]
    evidence = f"{counted(len(full), 'response', 'responses')} separated by ******"
    if len(full) != 2 or not all(parts[1:-1]):
        return failed(evidence, "Give two responses, separated by six asterisks: ******.")
    if full[0] == full[1]:
        return failed(f"both are {quote(full[0])}", "Give two different responses.")
    return passed(evidence)


def _repeats(response: Text, arguments: Arguments) -> Verified:
    request = arguments.get("text", response.instruction)
    return _begins(response, request, "First repeat word for word:")


def _paragraph_starts(response: Text, arguments: Arguments) -> Verified:
    number, word = arguments["paragraph"], arguments["word"]
    paragraphs = response.paragraphs
    if number > len(paragraphs):
        evidence = counted(len(paragraphs), "paragraph", "paragraphs")
        return failed(evidence, f"Write {number} paragraphs at least, with a blank line between.")
    evidence = f"begins {quote(paragraphs[number - 1])}"
    first = paragraphs[number - 1].split(maxsplit=1)[0].lstrip(_QUOTES)
    if _AFTER_WORD.split(first)[0].lower() == word.strip().lower():
        return passed(evidence)
    return failed(evidence, f"Begin paragraph {number} with {quote(word)}.")


def _lines_start(response: Text, arguments: Arguments) -> Verified:
    wanted = arguments["text"]
    for line in response.lines:
        if not line.lower().startswith(wanted.strip().lower()):
            return failed(f"found {quote(line)}", f"Begin every line with {quote(wanted)}.")
    return passed(counted(len(response.lines), "line", "lines"))


SHAPE = (
    Kind(
        "starts",
        lambda arguments: f"begins with {quote(arguments['text'])}",
        _starts,
        example={"text": "Dear"},
        right="Dear Ana, thank you.",
        wrong="Hello Ana, thank you.",
        arguments=(text("text", "the beginning, in any case"),),
    ),
    Kind(
        "ends",
        lambda arguments: f"ends with {quote(arguments['text'])}",
        _ends,
        example={"text": "Is there anything else?"},
        right="Done. Is there anything else?",
        wrong="Is there anything else? Tell me.",
        arguments=(text("text", "the end, in any case"),),
    ),
    Kind(
        "quoted",
        lambda _: "wrapped in double quotation marks",
        _quoted,
        example={},
        right='"All of it."',
        wrong='He said "all of it".',
    ),
    Kind(
        "titled",
        lambda _: "has a title in double angular brackets",
        _titled,
        example={},
        right="<<A day out>>\nWe went to the sea.",
        wrong="A day out\nWe went to the sea.",
    ),
    count_kind(
        "sections",
        lambda arguments: f"section marked {quote(arguments['marker'])}",
        lambda arguments: f"sections marked {quote(arguments['marker'])}",
        _sections,
        arguments=(text("marker", "the word before each number, such as Section"),),
        example={"marker": "Section", "at_least": 2},
        right="Section 1\nMix.\nSection 2\nBake.",
        wrong="Section 1\nMix and bake.",
    ),
    count_kind(
        "bullets",
        "bullet point",
        "bullet points",
        lambda response, _: [line.strip() for line in _BULLET.findall(response.raw)],
        example={"exactly": 2},
        right="* tea\n* milk",
        wrong="tea and milk",
    ),
    count_kind(
        "numbered",
        "numbered item",
        "numbered items",
        lambda response, _: [line.strip() for line in _NUMBERED.findall(response.raw)],
        example={"at_least": 2},
        right="1. Mix.\n2. Bake.",
        wrong="Mix, then bake.",
    ),
    count_kind(
        "highlights",
        "highlighted part",
        "highlighted parts",
        _highlights,
        example={"at_least": 2},
        right="*Mix* the dough, then *bake* it.",
        wrong="*Mix* the dough, then bake it.",
    ),
    count_kind(
        "placeholders",
        "placeholder in square brackets",
        "placeholders in square brackets",
        lambda response, _: _PLACEHOLDER.findall(response.raw),
        example={"at_least": 1},
        right="Dear [name],",
        wrong="Dear sir,",
    ),
    count_kind(
        "headings",
        "heading",
        "headings",
        lambda response, _: _HEADING.findall(response.raw),
        example={"at_least": 1},
        right="# Tea\nBoil water.",
        wrong="Boil water.",
    ),
    count_kind(
        "code_blocks",
        "code block",
        "code blocks",
        lambda response, _: [code for _, code in response.code_blocks],
        quoted=False,
        example={"exactly": 1},
        right="```\nls\n```",
        wrong="Type ls.",
    ),
    Kind(
        "postscript",
        lambda arguments: (
            f"has a postscript that starts with {quote(arguments.get('marker', 'P.S.'))}"
        ),
        _postscript,
        example={"marker": "P.S."},
        right="See you soon.\nP.S. Bring a coat.",
        wrong="See you soon. Bring a coat.",
        arguments=(text("marker", "what it starts with; left out: P.S.", required=False),),
    ),
    count_kind(
        "parts",
        lambda arguments: f"part separated by {quote(arguments['separator'])}",
        lambda arguments: f"parts separated by {quote(arguments['separator'])}",
        _parts,
        quoted=False,
        arguments=(text("separator", "what stands between them"),),
        example={"separator": "---", "exactly": 2},
        right="Summer\n---\nWinter",
        wrong="Summer and winter",
    ),
    Kind(
        "two_responses",
        lambda _: "two different responses separated by ******",
        _two_responses,
        example={},
        right="By train.\n******\nBy bus.",
        wrong="By train or by bus.",
    ),
    Kind(
        "repeats",
        lambda _: "repeats the request first",
        _repeats,
        example={},
        instruction="Name a fruit.",
        right="Name a fruit. A pear.",
        wrong="A pear.",
        arguments=(
            text("text", "what is repeated; left out: the whole instruction", required=False),
        ),
    ),
    Kind(
        "paragraph_starts",
        lambda arguments: (
            f"paragraph {arguments['paragraph']} begins with {quote(arguments['word'])}"
        ),
        _paragraph_starts,
        example={"paragraph": 2, "word": "then"},
        right="Mix it.\n\nThen bake it.",
        wrong="Then mix it.\n\nBake it.",
        arguments=(
            whole("paragraph", "which one, from 1", least=1),
            text("word", "its first word, in any case"),
        ),
    ),
    Kind(
        "lines_start",
        lambda arguments: f"every line begins with {quote(arguments['text'])}",
        _lines_start,
        example={"text": "I"},
        right="I came.\nI saw.",
        wrong="I came.\nThey saw.",
        arguments=(text("text", "the beginning of each, in any case"),),
    ),
)
