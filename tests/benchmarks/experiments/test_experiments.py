"""The experiments on a model whose every answer is known: doubles numbers, drafts wrong where it is
told to, and scores what it sees. The figures must be what follows from that.
Spans: benchmarks/experiments"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.data import LANGUAGES
from redraft.benchmarks.experiments import EXPERIMENTS, languages
from redraft.benchmarks.experiments import all as every
from redraft.benchmarks.experiments.cost_benefit import SOURCES
from redraft.benchmarks.experiments.deployment import fingerprint
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.options import flag
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Served, answering

pytestmark = pytest.mark.slow  # many small servers and loops: seconds in all

FEEDBACK, REFINEMENT = (f"<|{m.ids[0]}|>" for m in (FORMAT.feedback, FORMAT.refinement))
PROMPTS = 20


def mends(prompt: str, sampling: Sampling) -> str:
    """Drafts of odd numbers are wrong and score 3, whatever is sampled; refinements are right."""
    number = int(re.findall(r"double (\d+)", prompt)[-1])
    if prompt.endswith(FEEDBACK):
        return feedback(10 if says(prompt, number, 2 * number) else 3)
    wrong = number % 2 and REFINEMENT not in prompt
    return str(2 * number + bool(wrong))


def says(prompt: str, number: int, answer: int) -> bool:
    return re.search(rf"double {number}\D+{answer}\D*$", prompt.removesuffix(FEEDBACK)) is not None


def spoils(prompt: str, sampling: Sampling) -> str:
    """Every response is one more than the one before it: right once, at the iteration that is the
    last digit of the number."""
    number = int(re.findall(r"double (\d+)", prompt)[-1])
    if prompt.endswith(FEEDBACK):
        return feedback(3)
    before = re.findall(r"double \d+\D+(-?\d+)", prompt) if REFINEMENT in prompt else []
    return str(int(before[-1]) + 1 if before else 2 * number - number % 10)


@contextmanager
def served(reply: Callable[[str, Sampling], str] = mends, **critics: Any) -> Iterator[Served]:
    others = {name: srt_model(ScriptedEngine(reply=of)) for name, of in critics.items()}
    service = Service(srt_model(ScriptedEngine(reply=reply)), others)
    with answering(ScriptedEngine(), service, max_drafts_cap=32) as server:
        yield server


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    rows = [
        {"prompt": f"double {n}", "answers": [str(2 * n)], "group": "even" if n < 10 else "odd"}
        for n in range(PROMPTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(name: str, server: Served, labelled: Path, *more: str) -> tuple[int, dict[str, Any]]:
    out = labelled.parent / "out"
    arguments = ["--url", server.v1, "--model", "scripted", "--labelled", str(labelled)]
    arguments += ["--retries", "0", "--out", str(out), *more]
    code = bench(["experiments", name, *arguments])
    result: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    assert result["failures"] == {}
    assert all((out / plot).read_text().startswith("<?xml") for plot in result["plots"])
    assert result["plots"]
    return code, result


def test_refining_is_ahead_of_drafts_that_are_all_wrong_alike(labelled: Path) -> None:
    with served() as server:
        code, result = run("rerank", server, labelled, "--drafts", "2", "4")
    assert code == 0
    figures = result["figures"]
    assert figures["refine"]["right"]["estimate"] == 100
    assert figures["best of 4"]["right"]["estimate"] == 50
    ahead = figures["refining_minus"]["best of 4"]
    assert (ahead["difference"]["estimate"], ahead["wins"], ahead["losses"]) == (50, 10, 0)
    # A draft has 2 tokens, feedback and refinement follow once; two drafts have feedback twice.
    assert figures["equal_tokens"] == "best of 2"
    assert "best of 2 (equal tokens)" in result["tables"][0]["rows"][0][0]


def test_flips_are_counted_iteration_by_iteration(labelled: Path) -> None:
    with served(spoils) as server:
        _, result = run("iterations", server, labelled, "--iterations", "3")
    right = [result["figures"][str(k)]["right"]["estimate"] for k in range(4)]
    # Of twenty numbers two end in each digit.
    assert right == [10, 10, 10, 10]
    flips = [(f["wrong_to_right"], f["right_to_wrong"]) for f in result["figures"].values()]
    assert flips == [(0, 0), (2, 2), (2, 2), (2, 2)]
    tokens = [result["figures"][str(k)]["tokens"]["estimate"] for k in range(4)]
    steps = [after - before for before, after in itertools.pairwise(tokens)]
    assert steps == pytest.approx([steps[0]] * 3)


def test_a_gate_saves_tokens_and_one_that_is_too_low_loses_answers(labelled: Path) -> None:
    with served() as server:
        _, result = run("gate", server, labelled, "--gates", "10", "3")
    good, low = result["figures"]["until 10"], result["figures"]["until 3"]
    assert good["difference"]["estimate"] == 0
    assert good["tokens_saved"]["estimate"] > 0
    assert good["refined"]["estimate"] == 50
    assert (low["difference"]["estimate"], low["won"], low["lost"]) == (-50, 0, 10)
    assert low["refined"]["estimate"] == 0


def test_alternatives_get_as_many_drafts_as_refining_costs(labelled: Path) -> None:
    with served() as server:
        _, result = run("equal-compute", server, labelled, "--iterations", "1")
    figures = result["figures"]
    price = figures["refine 1"]["tokens"]["estimate"]
    (vote,) = [name for name in figures if name.startswith("vote of")]
    drafts = int(vote.removeprefix("vote of "))
    each = figures["direct"]["tokens"]["estimate"]
    assert (drafts - 1) * each < price <= drafts * each
    assert figures[vote]["tokens"]["estimate"] == drafts * each
    assert figures["refining_minus"][f"refine 1 - {vote}"]["difference"]["estimate"] == 50


def test_worse_critics_tell_fewer_drafts_apart(labelled: Path) -> None:
    def blind(prompt: str, sampling: Sampling) -> str:
        return feedback(3)

    def kind(prompt: str, sampling: Sampling) -> str:
        return feedback(10)

    with served(blind=blind, kind=kind) as server:
        asked = ["--critic", "blind", "--critic", "kind"]
        _, result = run("critic-quality", server, labelled, *asked)
    verdicts = result["figures"]["verdicts_right"]
    assert verdicts["the model itself"]["estimate"] == 100
    assert verdicts["blind"]["estimate"] == 50  # it finds fault with the right ones, too
    assert verdicts["kind"]["estimate"] == 50
    right = {
        name: each["right"]["estimate"]
        for name, each in result["figures"].items()
        if "right" in each
    }
    assert (right["blind"], right["blind, every draft refined"]) == (100, 100)
    assert (right["kind"], right["kind, every draft refined"]) == (50, 100)


def test_each_group_is_measured_by_itself_and_other_languages_beside_it(
    labelled: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "languages.jsonl"
    row = {"prompt": "double 3", "answers": ["6"], "group": "German"}
    asked.write_text(json.dumps(row) + "\n")
    with served() as server:
        _, result = run("wordings", server, labelled, "--languages", str(asked))
    figures = result["figures"]
    assert list(figures) == ["even", "odd", "same questions, German"]
    for group, prompts in (("even", 10), ("odd", 10), ("same questions, German", 1)):
        assert figures[group]["refined"]["right"]["n"] == prompts
        assert figures[group]["refined"]["right"]["estimate"] == 100
    assert figures["same questions, German"]["direct"]["right"]["estimate"] == 0


def test_a_pair_is_dear_by_what_was_asked_in_vain(labelled: Path) -> None:
    prices = ["--price-in", "0", "--price-out", "1000000"]  # a dollar a token
    with served() as server:
        _, result = run("cost-benefit", server, labelled, *prices)
    figures = result["figures"]
    assert figures["usable_pairs"]["estimate"] == 50
    here = figures["pairs"]["refining, this deployment"]
    assert here["labels_right"]["estimate"] == 100
    # Twice as many prompts as pairs; a draft is 2 tokens, the answer after it 2 more.
    tokens = [s["tokens"] for s in samples(labelled) if s["way"] == "refined and scored"]
    assert here["dollars_each"] == pytest.approx(sum(tokens) / 10)
    message = {row[0]: row for row in result["tables"][2]["rows"]}
    assert set(message) == {flag(name) for name in SOURCES}
    assert message["--price-out"][2:] == ["1,000,000", "given"]
    assert all(row[3] for row in message.values())


def test_a_model_that_makes_no_pair_has_no_price_for_one(labelled: Path) -> None:
    def indifferent(prompt: str, sampling: Sampling) -> str:
        return feedback(3) if prompt.endswith(FEEDBACK) else mends(prompt, sampling)

    with served(indifferent) as server:
        code, result = run("cost-benefit", server, labelled)
    assert code == 0
    assert result["figures"]["usable_pairs"]["estimate"] == 0
    assert list(result["figures"]["pairs"]) == ["people", "GPT-4 as judge"]


def test_a_loop_that_runs_out_of_room_is_scored_as_it_ended(labelled: Path) -> None:
    def rambles(prompt: str, sampling: Sampling) -> str:
        return "word " * 5000 if prompt.endswith(FEEDBACK) else mends(prompt, sampling)

    with served(rambles) as server:
        _, result = run("iterations", server, labelled, "--iterations", "1", "--limit", "2")
    assert result["figures"]["1"]["right"]["n"] == 2


def samples(labelled: Path) -> list[dict[str, Any]]:
    lines = (labelled.parent / "out" / "cost-benefit.samples.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_experiment_that_asks_a_model_is_in_all(labelled: Path) -> None:
    train = {"ablation", "data-curve"}
    assert set(EXPERIMENTS.commands) - train == {*every.EXPERIMENTS, "all", "languages"}


def test_a_url_without_prompts_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(["experiments", "gate", "--url", "http://127.0.0.1:9/v1"]) == 2
    assert "--labelled FILE" in capsys.readouterr().err


def test_the_shipped_questions_in_four_languages_are_what_the_command_makes(
    tmp_path: Path,
) -> None:
    made = tmp_path / "languages.jsonl"
    assert bench(["experiments", "languages", "--output", str(made)]) == 0
    assert made.read_bytes() == LANGUAGES.read_bytes()
    groups = [json.loads(line)["group"] for line in made.read_text().splitlines()]
    assert {groups.count(language) for language in languages.LANGUAGES} == {24}


def test_another_model_of_the_same_name_has_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert fingerprint(tmp_path) != before
