"""A terminal chat: drafts, feedback and refinements appear dimmed while they are written, then
the answer.

Run: redraft chat --help
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from redraft.clients.calls import URL
from redraft.clients.client import Redraft
from redraft.clients.wire import Event, RedraftError, Refined, RefineOptions

HELP = "/new forgets the conversation, /quit ends it (so does Ctrl-D); Ctrl-C stops an answer"
DIM, BOLD, PLAIN = "\033[2m", "\033[1m", "\033[0m"


class Screen:
    """Writes phases and answers, in colour on a terminal unless NO_COLOR is set."""

    def __init__(self, out: TextIO, quiet: bool = False) -> None:
        self.out, self.quiet = out, quiet
        self.colours = out.isatty() and "NO_COLOR" not in os.environ
        self._phase = ""

    def show(self, event: Event) -> None:
        if self.quiet or not event.text:
            return
        heading = f"{event.phase} {event.fields['iteration'] or ''}".strip()
        if heading != self._phase:
            gap = "\n\n" if self._phase else ""
            self._write(f"{gap}{self._styled(heading, BOLD)}\n")
            self._phase = heading
        self._write(self._styled(event.text, DIM))

    def answer(self, refined: Refined) -> None:
        if self._phase:
            scores = ", ".join(str(score) for score in refined.scores if score is not None)
            ended = f"{refined.stop_reason}; scores: {scores or 'none'}"
            kept = f"refinement {refined.kept}" if refined.kept else "the draft"
            self._write(f"\n\n{self._styled(f'answer ({kept}; {ended})', BOLD)}\n")
        self._write(f"{refined.answer}\n")
        self._phase = ""

    def note(self, line: str) -> None:
        """A message about the conversation, on a line of its own."""
        gap = "\n" if self._phase else ""
        self._write(f"{gap}{self._styled(line, DIM)}\n")
        self._phase = ""

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{PLAIN}" if self.colours else text

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def converse(client: Redraft, lines: Iterable[str], screen: Screen, options: RefineOptions) -> int:
    """Answer each line and return how many answers failed. Only answers enter the conversation:
    their drafts and feedback do not."""
    messages: list[dict[str, str]] = []
    failures = 0
    for line in lines:
        text = line.strip()
        if text in ("/quit", "/exit"):
            break
        if text == "/new":
            messages = []
        elif text.startswith("/"):
            screen.note(HELP)
        elif text:
            turns = [*messages, {"role": "user", "content": text}]
            refined = _ask(client, turns, screen, options)
            if refined is None:
                failures += 1
            else:
                messages = [*turns, {"role": "assistant", "content": refined.answer}]
    return failures


def _ask(
    client: Redraft, messages: list[dict[str, str]], screen: Screen, options: RefineOptions
) -> Refined | None:
    try:
        # Closing the stream makes the server stop at once, also after Ctrl-C.
        with contextlib.closing(client.stream_refine(messages, **options)) as events:
            for event in events:
                screen.show(event)
                if refined := event.refined:
                    screen.answer(refined)
                    return refined
        screen.note("error: the server ended the stream before the answer was complete")
    except RedraftError as error:
        screen.note(f"error: {error}")
    except KeyboardInterrupt:
        screen.note("stopped")
    return None


def read_lines(prompt: str) -> Iterable[str]:
    """Lines from the terminal, with line editing where Python has readline; else from stdin."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # importing it is what makes input() editable
    while True:
        try:
            yield input(prompt)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print(f"\n{HELP}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="redraft chat",
        description="Talk to a running server and watch it draft, give feedback and refine.",
        epilog=f"In the chat: {HELP}. The API key is taken from OPENAI_API_KEY.",
    )
    url = os.environ.get("REDRAFT_URL", URL)
    parser.add_argument("--url", default=url, help="the server [%(default)s; REDRAFT_URL]")
    parser.add_argument("--model", help="a name of /v1/models [the server's only one]")
    parser.add_argument("--max-iterations", type=int, metavar="N", help="[the server's default]")
    parser.add_argument("--quiet", action="store_true", help="only the answer [off]")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    options: RefineOptions = {}
    if chosen.max_iterations is not None:
        options["max_iterations"] = chosen.max_iterations
    screen = Screen(sys.stdout, chosen.quiet)
    with Redraft(chosen.url, model=chosen.model) as client:
        failures = converse(client, read_lines("> "), screen, options)
    # A person has seen the errors on the terminal; a script needs the exit code.
    return int(failures > 0 and not sys.stdin.isatty())


if __name__ == "__main__":
    sys.exit(main())
