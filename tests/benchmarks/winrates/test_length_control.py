"""The length-controlled win rate gives the recorded values on the same inputs, and behaves as its
definition says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from redraft.benchmarks.winrates.alpaca import Annotation, read_annotations
from redraft.benchmarks.winrates.known_set import digest, digest_at, known_set
from redraft.benchmarks.winrates.length_control import length_controlled, read_gamed
from redraft.benchmarks.winrates.preference import EVEN, win_rate
from tests.support.evaldata import stored

# One each: a high and a low rate, rows missing, a model that games the judge, another strength.
FEW = ("FuseChat-Llama-3.2-3B-Instruct", "phi-2", "gpt4_gamed", "alpaca-farm-ppo-sim-gpt4-20k")


def check(model: str) -> None:
    expected = json.loads(stored("alpaca_eval/expected_dev.json").read_text())[model]
    annotations = read_annotations(stored(f"alpaca_eval/annotations_slim/{model}.csv"))
    result = win_rate(annotations, read_gamed(), resamples=0)
    recorded = expected.get("lc_with_reconstructed_inputs", EVEN)
    assert result.rate == pytest.approx(expected["win_rate"], abs=1e-6)
    assert result.standard_error == pytest.approx(expected["standard_error"], abs=1e-6)
    assert result.discrete_rate == pytest.approx(expected["discrete_win_rate"], abs=1e-6)
    assert result.controlled.rate == pytest.approx(recorded, abs=0.001)
    assert abs(result.controlled.rate - expected["length_controlled_winrate"]) < 0.5


@pytest.mark.parametrize("model", FEW)
def test_a_published_model_gets_its_recorded_rates(model: str) -> None:
    check(model)


@pytest.mark.slow
def test_every_stored_model_gets_its_recorded_rates() -> None:
    for path in sorted(stored("alpaca_eval/annotations_slim").glob("*.csv")):
        check(path.stem)


def test_the_projects_own_annotation_file_reads_as_the_table_made_from_it() -> None:
    whole = read_annotations(stored("alpaca_eval/annotations_full/alpaca-7b.json.gz"))
    table = read_annotations(stored("alpaca_eval/annotations_slim/alpaca-7b.csv"))
    assert whole == table


def annotation(row: int, longer_by: int, preference: float | None) -> Annotation:
    """Of AlpacaEval's own instruction and reference, in its place."""
    key, known = list(known_set().items())[row]
    length = known.reference_length
    return Annotation(row, length, length + longer_by, preference, key)


def annotated(count: int, longer_wins: bool) -> list[Annotation]:
    """A system as good as the reference whose judge goes by length, or by nothing."""
    result = []
    for row in range(count):
        longer = row % 3 > 0
        wins = longer if longer_wins else row % 2 == 0
        result.append(annotation(row, 1000 if longer else -400, 2.0 if wins else 1.0))
    return result


def test_what_length_alone_won_is_taken_away() -> None:
    found = win_rate(annotated(600, longer_wins=True), read_gamed(), resamples=0)
    assert found.rate == pytest.approx(200 / 3)
    assert found.controlled.rate is not None
    assert found.controlled.rate < found.rate - 5


def test_where_length_decides_nothing_the_rate_moves_little() -> None:
    found = win_rate(annotated(600, longer_wins=False), read_gamed(), resamples=0)
    assert found.controlled.rate == pytest.approx(found.rate, abs=5)


def test_an_unjudged_row_changes_no_rate() -> None:
    judged = annotated(300, longer_wins=False)
    unjudged = [annotation(row, -10, None) for row in range(300, 310)]
    result = win_rate([*judged, *unjudged], read_gamed(), resamples=0)
    without = win_rate(judged, read_gamed(), resamples=0)
    assert result.unjudged == 10
    assert (result.rate, result.controlled.rate) == (without.rate, without.controlled.rate)


def test_the_reference_against_itself_wins_half_the_time() -> None:
    same = [annotation(row, 0, 1.5) for row in range(100)]
    assert win_rate(same, read_gamed(), resamples=0).controlled.rate == EVEN


def test_ties_against_another_reference_are_no_length_controlled_half() -> None:
    tied = [Annotation(row, 7, 7, 1.5, digest_at(row)) for row in range(100)]
    assert win_rate(tied, read_gamed(), resamples=0).controlled.rate is None


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            [annotation(row, 0, 1.0 + row % 2) for row in range(9)],
            "no answer's length differs",
        ),
        (
            [
                *[annotation(row, row, 2.0) for row in range(9)],
                *[Annotation(row, 9, row, 2.0, digest(f"own {row}")) for row in range(9, 14)],
            ],
            "5 instructions are not AlpacaEval's",
        ),
        ([annotation(row, row, 2.0) for row in range(4)], "4 verdicts are fewer than 5"),
        (
            [
                *[annotation(row, row, 2.0) for row in range(9)],
                *[Annotation(row, 9, row, 2.0, digest_at(row)) for row in range(9, 12)],
            ],
            "3 reference answers are not those of gpt4_1106_preview",
        ),
    ],
)
def test_where_there_is_no_length_control_there_is_no_figure(
    rows: list[Annotation], why: str
) -> None:
    result = win_rate(rows, read_gamed(), resamples=0)
    assert result.controlled.found is None
    assert result.controlled.rate is None
    assert why in result.controlled.reason
    assert result.json()["no_length_control"] == result.controlled.reason
    assert result.by_instruction.rate is None


def test_the_interval_holds_the_rate_and_repeats() -> None:
    rows = annotated(200, longer_wins=False)
    found = length_controlled(rows, read_gamed(), resamples=40)
    assert found
    assert found.interval.low < found.rate < found.interval.high
    assert found == length_controlled(rows, read_gamed(), resamples=40)


def test_a_preference_of_zero_is_a_tie_and_one_that_is_no_number_unjudged(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    row = {"instruction": "Sing.", "output_1": "a", "output_2": "bc"}
    rows = [{**row, "preference": value} for value in (0, 0.0, None, math.nan, 2)]
    path.write_text(json.dumps(rows))
    assert [a.win for a in read_annotations(path)] == [0.5, 0.5, None, None, 1]
