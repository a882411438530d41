"""Regular expressions whose time is bounded, whatever the pattern and the text.

Python's ``re`` backtracks and cannot be interrupted: ``(a+)+$`` holds a server for hours. These
patterns are written and mean the same, without what needs backtracking (back references, look
around, possessive and atomic groups). All states a match can be in are followed at once, character
by character, so the steps are at most the size of the pattern times the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from redraft.server.refine.checks.steps import Steps

LONGEST_PATTERN = 1000  # characters
MOST_INSTRUCTIONS = 2000
DEEPEST = 40  # groups within groups

_FLAGS = re.compile(r"\(\?([ims]+)\)")
_GROUP = re.compile(r"\((?:\?:|\?P<[A-Za-z_]\w*>|(?!\?))")
_REPEAT = re.compile(r"[*+?]|\{(\d+)(?:(,)(\d*))?\}|\{,(\d+)\}")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[dDsSwWnrtfv]|[^A-Za-z0-9])", re.DOTALL)
_ASSERTION = re.compile(r"\^|\$|\\[bBAZ]")

Test = Callable[[str], bool]
# A test of one character, an assertion by its name, or offsets from here where to go on.
Instruction = Test | str | tuple[int, ...]
Program = list[Instruction]


class PatternError(ValueError):
    """A pattern that is malformed, too large, or needs backtracking."""


class Pattern:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > LONGEST_PATTERN:
            raise PatternError(f"it has {len(pattern)} characters; at most {LONGEST_PATTERN}")
        parser = _Parser(pattern)
        self._program = [*parser.whole(), "match"]
        self._multiline = "m" in parser.flags

    @property
    def size(self) -> int:
        return len(self._program)

    def search(self, text: str, steps: Steps) -> tuple[int, int] | None:
        """Where the match is that ends first."""
        states: dict[int, int] = {}  # the place in the program -> where its match began
        for at in range(len(text) + 1):
            states.setdefault(0, at)
            ready, followed = self._follow(text, at, states)
            if (start := ready.pop(len(self._program) - 1, None)) is not None:
                return start, at
            steps.take(followed)
            if at < len(text):
                states = {
                    place + 1: start
                    for place, start in ready.items()
                    if self._program[place](text[at])  # type: ignore[operator]
                }
        return None

    def _follow(self, text: str, at: int, states: dict[int, int]) -> tuple[dict[int, int], int]:
        """The tests of the next character that can be reached, or the end; and the steps taken."""
        ready: dict[int, int] = {}
        seen: set[int] = set()
        stack = sorted(states.items(), key=lambda state: -state[1])  # the earliest match first
        while stack:
            place, start = stack.pop()
            if place in seen:
                continue
            seen.add(place)
            instruction = self._program[place]
            if isinstance(instruction, tuple):
                stack.extend((place + offset, start) for offset in reversed(instruction))
            elif callable(instruction) or instruction == "match":
                ready[place] = start
            elif _holds(instruction, text, at, self._multiline):
                stack.append((place + 1, start))
        return ready, len(seen) + 1


@lru_cache(maxsize=128)
def compiled(pattern: str) -> Pattern:
    return Pattern(pattern)


class _Parser:
    """Recursive descent. Programs are joined and repeated as lists: their jumps are relative."""

    def __init__(self, pattern: str) -> None:
        flags = _FLAGS.match(pattern)
        self.flags = flags[1] if flags else ""
        self._pattern = pattern
        self._at = flags.end() if flags else 0

    def whole(self) -> Program:
        program = self._alternatives(0)
        if self._at < len(self._pattern):
            raise PatternError("it has a ) without a (")
        return program

    def _alternatives(self, depth: int) -> Program:
        program = self._sequence(depth)
        while self._take("|"):
            other = self._sequence(depth)
            program = [(1, len(program) + 2), *program, (len(other) + 1,), *other]
        return _checked(program)

    def _sequence(self, depth: int) -> Program:
        program: Program = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            start = self._at
            part = self._part(depth)
            if _REPEAT.match(self._pattern, self._at):
                if part and isinstance(part[0], str) and self._pattern[start] != "(":
                    raise PatternError(f"nothing to repeat at {self._rest(start)}")
                part = self._repeated(part)
            program = _checked([*program, *part])
        return program

    def _part(self, depth: int) -> Program:
        pattern, at = self._pattern, self._at
        if assertion := _ASSERTION.match(pattern, at):
            self._at = assertion.end()
            return [assertion[0]]
        if pattern[at] == "(":
            return self._group(depth + 1)
        if pattern[at] == "[":
            return [self._test(self._character_class())]
        if pattern[at] == "\\":
            return [self._test(self._escape())]
        if _REPEAT.match(pattern, at):
            raise PatternError(f"nothing to repeat at {self._rest(at)}")
        self._at += 1
        return [self._test("." if pattern[at] == "." else re.escape(pattern[at]))]

    def _group(self, depth: int) -> Program:
        opened = _GROUP.match(self._pattern, self._at)
        if opened is None:
            rest = self._rest(self._at)
            raise PatternError(f"groups such as {rest} are not supported; (...), (?:...) are")
        if depth > DEEPEST:
            raise PatternError(f"its groups are more than {DEEPEST} deep")
        self._at = opened.end()
        program = self._alternatives(depth)
        if not self._take(")"):
            raise PatternError("it has a ( without a )")
        return program

    def _repeated(self, part: Program) -> Program:
        repeat = _REPEAT.match(self._pattern, self._at)
        assert repeat is not None
        self._at = repeat.end()
        self._take("?")  # the shortest match first: whether there is one is all the same
        if self._at < len(self._pattern) and _REPEAT.match(self._pattern, self._at):
            raise PatternError(f"a repetition is repeated at {self._rest(repeat.start())}")
        least, most = _times(repeat)
        if most is not None and most < least:
            raise PatternError(f"{repeat[0]} has its bounds the wrong way round")
        copies = least + 1 if most is None else most
        if copies * (len(part) + 2) > MOST_INSTRUCTIONS and part:
            raise PatternError(f"{repeat[0]} makes it too large")
        if not part:
            return part
        program = part * least
        if most is None:
            return [*program, (1, len(part) + 2), *part, (-len(part) - 1,)]
        optional: Program = [(1, len(part) + 1), *part]
        return program + optional * (most - least)

    def _character_class(self) -> str:
        """The class in the form that ``re`` takes without a warning."""
        pattern, start = self._pattern, self._at
        at = start + 1 + pattern.startswith("^", start + 1)
        written = pattern[start:at]
        first = True
        while at < len(pattern) and (first or pattern[at] != "]"):
            first = False
            if pattern[at] == "\\":
                self._at = at
                written += self._escape()
                at = self._at
                continue
            written += f"\\{pattern[at]}" if pattern[at] in "[]&|~" else pattern[at]
            at += 1
        if at >= len(pattern):
            raise PatternError("it has a [ without a ]")
        self._at = at + 1
        return written + "]"

    def _escape(self) -> str:
        escape = _ESCAPE.match(self._pattern, self._at)
        if escape is None:
            raise PatternError(f"{self._rest(self._at)} is not supported")
        self._at = escape.end()
        return escape[0]

    def _test(self, one: str) -> Test:
        """The test of one character. ``re`` compiles it without flags: folding the case of a
        large class takes it long."""
        try:
            matches = re.compile(one, re.DOTALL if "s" in self.flags else 0).fullmatch
        except re.error as error:
            raise PatternError(f"{one[:40]}: {error}") from None
        if "i" not in self.flags:
            return lru_cache(maxsize=256)(lambda char: matches(char) is not None)
        return lru_cache(maxsize=256)(
            lambda char: any(matches(form) for form in (char, char.lower(), char.upper()))
        )

    def _take(self, char: str) -> bool:
        taken = self._pattern.startswith(char, self._at)
        self._at += taken
        return taken

    def _rest(self, at: int) -> str:
        return repr(self._pattern[at : at + 10])


def _times(repeat: re.Match[str]) -> tuple[int, int | None]:
    fixed = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(repeat[0])
    if fixed is not None:
        return fixed
    if repeat[4] is not None:
        return 0, _count(repeat[4])
    least = _count(repeat[1])
    if repeat[2] is None:
        return least, least
    return least, _count(repeat[3]) if repeat[3] else None


def _count(digits: str) -> int:
    return int(digits[:9])


def _checked(program: Program) -> Program:
    if len(program) > MOST_INSTRUCTIONS:
        raise PatternError("it is too large")
    return program


def _holds(assertion: str, text: str, at: int, multiline: bool) -> bool:
    match assertion:
        case r"\A":
            return at == 0
        case r"\Z":
            return at == len(text)
        case "^":
            return at == 0 or (multiline and text[at - 1] == "\n")
        case "$":
            ends = at == len(text) or (at == len(text) - 1 and text[at] == "\n")
            return ends or (multiline and text[at] == "\n")
    before = at > 0 and _is_word(text[at - 1])
    after = at < len(text) and _is_word(text[at])
    return (before != after) == (assertion == r"\b")


def _is_word(char: str) -> bool:
    return char == "_" or char.isalnum()
