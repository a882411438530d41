"""Which edit mends which check, and in which order they are made.

How to add an edit: a function from the response and the arguments of the check to the edited
response, or None where it cannot be done; name it in ``_EDITS``, in the place it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redraft.server.refine.checks.bounds import Bounds
from redraft.server.refine.checks.check import Arguments, Check, Finding
from redraft.server.refine.checks.splitting import split_sentences
from redraft.server.refine.checks.table import count, verify, verify_all
from redraft.train.constraints.edits import amounts, characters, ends, layout

_PASSES = 3  # an edit may undo another: a phrase that is added may have a comma


@dataclass(frozen=True, slots=True)
class Needs:
    """What the model must write before a response can be mended."""

    words: int = 0  # by which the response must grow
    sentences: int = 0
    with_words: tuple[str, ...] = ()  # a sentence for each
    questions: int = 0
    second: bool = False  # another response

    @property
    def anything(self) -> bool:
        return self != Needs()


@dataclass(frozen=True, slots=True)
class ModelTexts:
    """What the model has written for the needs of a response."""

    continuation: str = ""
    sentences: tuple[str, ...] = ()  # with the words that were missing
    questions: tuple[str, ...] = ()
    second: str = ""


def needs(findings: Sequence[Finding], response: str) -> Needs:
    """What the model must write so that the checks that fail can pass."""
    words = sentences = questions = 0
    with_words: list[str] = []
    second = False
    lowered = response.lower()
    for finding in findings:
        if finding.passed:
            continue
        arguments, bounds = finding.check.arguments, Bounds.of(finding.check.arguments)
        kind = finding.check.kind
        if kind == "words":
            words = max(words, bounds.missing(count(kind, response)))
        elif kind == "sentences":
            sentences = max(sentences, bounds.missing(count(kind, response)))
        elif kind == "contains":
            with_words += [each for each in arguments["texts"] if each.lower() not in lowered]
        elif kind == "contains_any":
            with_words.append(arguments["texts"][0])
        elif kind == "occurrences":
            with_words += [arguments["text"]] * bounds.missing(count(kind, response, arguments))
        elif kind == "questions":
            questions += bounds.missing(count(kind, response))
        elif kind == "ends" and arguments["text"] == "?":
            questions += 1
        elif kind == "two_responses":
            second = True
    return Needs(words, sentences, tuple(with_words), questions, second)


def title_of(topic: str, response: str) -> str:
    """The topic, else the first words of the response, as a title."""
    words = topic.split() or [w.strip('#*<>"[]().,:;!?') for w in response.split()[:5]]
    shown = [word for word in words if word and word.lower() not in ("a", "an", "the")][:6]
    return " ".join(word[:1].upper() + word[1:] for word in shown) or "Untitled"


def mend(
    response: str,
    checks: Sequence[Check],
    instruction: str,
    topic: str,
    texts: ModelTexts = ModelTexts(),
) -> str | None:
    """The response, edited until every check passes; None where the edits do not get there."""
    title = title_of(topic, response)
    text = response.strip()
    for number in range(_PASSES):
        failing = [f.check for f in verify_all(checks, text, instruction) if not f.passed]
        if not failing:
            return text
        added = texts if number == 0 else ModelTexts()
        for check in sorted(failing, key=lambda check: _ORDER.get(check.kind, 0)):
            if verify(check, text, instruction).passed:
                continue  # an edit before has mended it
            edited = _edited(check, text, instruction, title, added)
            if edited is None:
                return None
            text = edited
    passed = all(finding.passed for finding in verify_all(checks, text, instruction))
    return text if passed else None


Edit = Callable[[str, Arguments], str | None]

_EDITS: dict[str, Edit] = {
    # What goes comes first: what is edited afterwards stays.
    "no_repetition": amounts.no_repetition,
    "excludes": amounts.excludes,
    "occurrences": amounts.seldom,
    "words_per_sentence": amounts.short_sentences,
    "words": lambda response, arguments: amounts.shortened("words", response, arguments),
    "sentences": lambda response, arguments: amounts.shortened("sentences", response, arguments),
    "characters": lambda response, arguments: amounts.shortened("characters", response, arguments),
    "headings": layout.no_headings,
    "bullets": lambda response, arguments: layout.listed(response, arguments, numbered=False),
    "numbered": lambda response, arguments: layout.listed(response, arguments, numbered=True),
    "paragraphs": layout.paragraphs,
    "parts": layout.parts,
    "lines": layout.lines,
    "sections": layout.sections,
    "highlights": characters.highlights,
    "placeholders": characters.placeholders,
    "letter": characters.letter,
    "paragraph_starts": layout.paragraph_starts,
    "starts": ends.starts,
    "ends": ends.ends,
    "without": characters.without,
    "numbers": characters.without_digits,
    "lowercase": characters.lowercase,
    "uppercase": characters.uppercase,
    "title_case": characters.title_case,
    "quoted": ends.quoted,
    "code_blocks": ends.code_block,
}
_ADDED_FIRST = ("contains", "contains_any", "questions")
_ORDER = {kind: number for number, kind in enumerate((*_ADDED_FIRST, *_EDITS))}
_ORDER |= {"titled": _ORDER["starts"], "two_responses": _ORDER["highlights"]}
_ORDER |= {"repeats": _ORDER["ends"], "json": len(_ORDER)}


def _edited(
    check: Check, response: str, instruction: str, title: str, texts: ModelTexts
) -> str | None:
    kind, arguments = check.kind, check.arguments
    bounds = Bounds.of(arguments)
    if kind in ("contains", "contains_any"):
        return _with(response, texts.sentences)
    if kind == "occurrences" and bounds.missing(count(kind, response, arguments)):
        return _with(response, texts.sentences)
    if kind == "questions" or (kind == "ends" and arguments["text"] == "?"):
        return _with(response, texts.questions)
    if kind in ("words", "sentences") and bounds.missing(count(kind, response)):
        return _grown(response, texts.continuation, kind, bounds)
    if kind == "repeats":
        return ends.repeats(response, arguments.get("text", instruction))
    if kind == "titled":
        return ends.titled(response, title)
    if kind == "headings" and bounds.least:
        return ends.heading(response, title)
    if kind == "json":
        return layout.as_json(response, title)
    if kind == "two_responses":
        return _twice(response, texts.second)
    edit = _EDITS.get(kind)
    return edit(response, arguments) if edit else None


def _with(response: str, sentences: Sequence[str]) -> str | None:
    if not sentences:
        return None
    return response.rstrip() + joint(response) + " ".join(dict.fromkeys(sentences))


def joint(response: str) -> str:
    """What stands between a response and what is added: a draft that was cut goes on."""
    text = response.strip()
    ended = text.endswith((".", "!", "?", '"', "*", ":", ")"))
    return "\n\n" if "\n" in text and ended else " "


def _grown(response: str, continuation: str, kind: str, bounds: Bounds) -> str | None:
    """With as many sentences of the continuation as are missing."""
    text = response.rstrip()
    for sentence in split_sentences(continuation):
        if sentence in response:
            return None  # the model repeats itself
        if not bounds.missing(count(kind, text)):
            break
        text += (joint(response) if text == response.rstrip() else " ") + sentence
    return text if bounds.allow(count(kind, text)) else None


def _twice(response: str, second: str) -> str | None:
    first = response.replace("******", "").strip()
    other = second.replace("******", "").strip()
    return f"{first}\n\n******\n\n{other}" if other and other != first else None
