"""Fills the card's template with recorded figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from redraft.benchmarks.following import way_tables
from redraft.benchmarks.grading.graders import CHECKS, PUBLISHED

_TEMPLATE = Path(__file__).with_name("card.md")
Json = Mapping[str, Any]

LEVELS = {
    "prompt strict": "every constraint of a prompt, strict",
    "prompt loose": "every constraint of a prompt, loose",
    "constraint strict": "a constraint, strict",
    "constraint loose": "a constraint, loose",
}
# Kinds of IFEval like those of train/constraints/wordings/unseen.py, which no lesson shows.
UNTRAINED = (
    "change_case:capital_word_frequency",
    "detectable_content:postscript",
    "detectable_format:constrained_response",
    "keywords:letter_frequency",
    "language:response_language",
)
_HELD_OUT = {
    "test": "instructions and wordings ({with_checks} with constraints)",
    "unseen": "kinds of constraints that no lesson showed",
}


NOT_MEASURED = "Not measured."
_WAYS = {
    "direct": "the draft",
    "itself": "its own feedback, up to {}",
    "off": "refined without feedback",
    "votes": "feedback by a vote of {}",
    "checks": "the constraints given as checks, up to {}",
    "candidates": "written from {} sampled drafts",
    "best of 1": "one sampled draft, not refined",
    "best of": "the best of {} sampled drafts by its own scores, nothing refined",
    "vote of": "the commonest of {} sampled drafts, nothing refined",
}


def render(
    ifeval: Json,
    mending: Json,
    ways: Json | None,
    unconstrained: Json | None,
    tasks: Json | None,
    agreement: Json | None,
) -> str:
    """The text of README.md. ``ifeval``: figures of redraft bench ifeval; ``mending``: of redraft
    train mending, by file; ``ways``: of redraft bench experiments ways, by way; ``unconstrained``:
    of redraft bench ifeval --unconstrained; ``tasks``: of runs of redraft bench tasks run;
    ``agreement``: of redraft train agreement."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    parts = dict(_parts(ifeval, mending))
    parts["ways"] = "\n".join(_ways(ways)) if ways else NOT_MEASURED
    parts["tasks"] = "\n".join(_tasks(tasks["runs"])) if tasks else NOT_MEASURED
    parts["agreement"] = _agreement(agreement) if agreement else NOT_MEASURED
    parts["unconstrained"] = _unconstrained(unconstrained) if unconstrained else NOT_MEASURED
    for name, value in parts.items():
        text = text.replace(f"<!-- {name} -->", value)
    assert "<!--" not in text, "the template names a figure that there is not"
    return text


def _parts(ifeval: Json, mending: Json) -> Iterator[tuple[str, str]]:
    published, own = (ifeval["graders"][name] for name in (PUBLISHED, CHECKS))
    loop, test = ifeval["loop"], mending["test"]
    yield "asked", "all 541" if ifeval["prompts"] == 541 else str(ifeval["prompts"])
    yield "levels", "\n".join(_levels(published))
    yield "flips", _flips(published)
    yield "readable", f"{percent(loop['readable'])} of cases"
    yield "length", f"{loop['length_ratio']['estimate'] / 100:.2f} times"
    yield "tokens", f"{loop['tokens']['estimate']:.0f}"
    yield "draft_tokens", f"{loop['draft_tokens']['estimate']:.0f}"
    yield "read", f"{loop['read']['estimate']:.0f}"
    yield "draft_read", f"{loop['draft_read']['estimate']:.0f}"
    yield "time", times(loop["time_ratio"])
    yield "own_draft", percent(own["shares"]["draft"]["prompt strict"])
    yield "own_answer", percent(own["shares"]["answer"]["prompt strict"])
    yield "held_out", "\n".join(_held_out(mending))
    plain = test["instructions"] - test["with_checks"]
    changed = round(plain * (1 - test["unchanged_without_checks"] / 100))
    yield "plain", str(plain)
    yield "plain_changed", str(changed or "none")
    yield "kinds", "\n".join(_kinds(published["kinds"]))
    yield "good_left_alone", percent(published["verdict"]["good_left_alone"])
    yield "wrong_found", percent(published["verdict"]["wrong_found"])
    yield "balanced", percent(published["verdict"]["balanced_accuracy"])
    yield "test_good_left_alone", f"{test['good_left_alone']}%"
    for kind, counts in mending["unseen"]["kinds"].items():
        draft, refined = counts["held"]
        yield f"unseen {kind}", f"{draft} to {refined} of {counts['of']}"
    draft, refined = mending["ifeval"]["prompt_level"]
    yield "mending_ifeval", f"{draft}% and {refined}% of prompts"


def percent(interval: Json) -> str:
    return f"{interval['estimate']:.1f}% ({_range(interval)})"


def times(interval: Json) -> str:
    low, high = interval["low"] / 100, interval["high"] / 100
    return f"{interval['estimate'] / 100:.2f} ({low:.2f} to {high:.2f})"


def _range(interval: Json) -> str:
    return f"{interval['low']:.1f} to {interval['high']:.1f}"


def _levels(published: Json) -> Iterator[str]:
    draft, answer = (published["shares"][stage] for stage in ("draft", "answer"))
    yield "| holds | draft (the base) | refined once | gain, points |"
    yield "|---|---|---|---|"
    for level, label in LEVELS.items():
        gain = published["gains"]["answer"][level]
        shown = f"{gain['estimate']:.1f} ({_range(gain)})"
        yield f"| {label} | {percent(draft[level])} | {percent(answer[level])} | {shown} |"
    averages = [
        sum(stage[level]["estimate"] for level in ("prompt strict", "constraint strict")) / 2
        for stage in (draft, answer)
    ]
    before, after = averages
    yield f"| average of both, strict | {before:.1f} | {after:.1f} | {after - before:.1f} |"


def _flips(published: Json) -> str:
    flips = published["flips"]
    numbers = flips["numbers"]
    return (
        f"{numbers['wrong_to_right']} answers were mended and {numbers['right_to_wrong']} spoiled "
        f"({_range(flips['spoiled'])}% of all)."
    )


def _ways(ways: Json) -> Iterator[str]:
    yield "| refined | every constraint of a prompt | gain, points | mended, spoiled | tokens |"
    yield "|---|---|---|---|---|"
    for name, each in ways.items():
        if name.startswith("best of") and name not in way_tables.SHOWN:
            continue
        way, number = (name, "") if name in _WAYS else name.rsplit(" ", 1)
        label = _WAYS[way].format(number)
        share, tokens = percent(each["met"]["prompt strict"]), f"{each['tokens']['estimate']:.0f}"
        if way == "direct":
            yield f"| {label} | {share} | | | {tokens} |"
            continue
        gain, flips = each["gain_on_direct"]["prompt strict"], each["flips"]
        gained = f"{gain['estimate']:.1f} ({_range(gain)})"
        counts = f"{flips['wrong_to_right']}, {flips['right_to_wrong']}"
        yield f"| {label} | {share} | {gained} | {counts} | {tokens} |"


def _tasks(runs: Sequence[Json]) -> Iterator[str]:
    yield "| | questions | the draft | refined once | difference, points | better, worse |"
    yield "|---|---|---|---|---|---|"
    for run in runs:
        (direct, refined), (paired,) = run["scores"].values(), run["comparisons"].values()
        for name, before in direct.items():
            gain = paired[name]["difference"]
            counts = f"{paired[name]['wins']}, {paired[name]['losses']}"
            shares = f"{before['n']} | {percent(before)} | {percent(refined[name])}"
            yield f"| {name} | {shares} | {gain['estimate']:.1f} ({_range(gain)}) | {counts} |"


def _agreement(counts: Json) -> str:
    pairs = sum(counts[name] for name in ("right", "ties", "wrong", "unreadable"))
    return (
        f"Of {pairs} judged pairs of HH-RLHF,\n  in which nothing can be checked, it scores "
        f"{counts['ties']} alike, {counts['right']} as people did and {counts['wrong']} the\n"
        f"  other way round; {counts['unreadable']} could not be read."
    )


def _unconstrained(figures: Json) -> str:
    left, length = figures["unconstrained"]["unchanged"], figures["loop"]["length_ratio"]
    return (
        f"Of {left['n']} prompts of AlpacaEval, drawn by seed, few of which ask for anything "
        f"that a program could\ncheck, {percent(left)} of the answers are the draft; a changed one "
        f"has {length['estimate'] / 100:.2f}\ntimes its length, by the median."
    )


def _held_out(mending: Json) -> Iterator[str]:
    for file, label in _HELD_OUT.items():
        of_file = mending[file]
        draft, refined = of_file["prompt_level"]
        counts = f"{of_file['mended'][0]}, {of_file['spoiled'][0]}"
        what = label.format(**of_file)
        yield f"| {what} | {of_file['with_checks']} | {draft}% | {refined}% | {counts} |"


def _kinds(kinds: Json) -> Iterator[str]:
    yield "| kind | of | draft | refined once |"
    yield "|---|---|---|---|"
    trained = {kind: counts for kind, counts in kinds.items() if kind not in UNTRAINED}
    untrained = {kind: counts for kind, counts in kinds.items() if kind in UNTRAINED}
    for label, group in (("trained", trained), ("never trained", untrained)):
        for kind, counts in group.items():
            yield f"| {kind} | {counts['of']} | {counts['draft']} | {counts['answer']} |"
        sums = (str(sum(each[key] for each in group.values())) for key in ("of", "draft", "answer"))
        yield f"| **all that were {label}** | {' | '.join(sums)} |"
