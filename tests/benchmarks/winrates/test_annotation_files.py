"""Rows that are missing, moved, doubled or of another set change no figure without a word: systems
are paired by instruction, and both ways of length control say which they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from redraft.benchmarks import winrate
from redraft.benchmarks.winrates.alpaca import read_annotations
from redraft.benchmarks.winrates.known_set import digest, known_set
from tests.support.evaldata import stored

HEADER = "row,instruction_index,len_reference,len_model,preference\n"
Row = dict[str, str]


def rows_of(model: str) -> list[Row]:
    with stored(f"alpaca_eval/annotations_slim/{model}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(step: str, out: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    code = winrate.main([step, *map(str, arguments), "--out", str(out)])
    name = "winrate" if step == "score" else step
    path = out / f"{name}.json"
    return code, json.loads(path.read_text()) if path.exists() else {}


def score(out: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    return run("score", out, *arguments, "--resamples", 0)


def test_the_shipped_digests_are_of_the_reference_file_in_its_order() -> None:
    rows = json.loads(stored("alpaca_eval/reference_gpt4_1106_preview.json").read_text())
    texts = [row["instruction"] for row in rows]
    assert len(set(texts)) == len(texts) == 805  # no instruction is in the set twice
    assert [digest(text) for text in texts] == list(known_set())
    lengths = [known.reference_length for known in known_set().values()]
    assert [len(row["output"]) for row in rows] == lengths


def test_a_row_missing_from_one_file_mispairs_no_other(tmp_path: Path) -> None:
    rows = rows_of("vicuna-13b")
    short = write(tmp_path / "short.csv", rows[:200] + rows[201:])
    whole = write(tmp_path / "whole.csv", rows)
    code, outcome = run("compare", tmp_path, short, whole)
    assert code == 0
    figures = outcome["figures"]
    assert (figures["wins"], figures["ties"], figures["losses"]) == (0, 804, 0)
    assert figures["judged_in_second_alone"] == 1
    assert outcome["failures"] == {"in_one_only": 1}
    assert "0 judged for short alone and 1 for whole alone" in outcome["tables"][0]["note"]


def test_files_in_different_orders_are_paired_by_instruction(tmp_path: Path) -> None:
    ours, theirs = (
        {row["instruction_index"]: float(row["preference"]) for row in rows_of(model)}
        for model in ("phi-2", "text_davinci_001")
    )
    differences = [ours[key] - theirs[key] for key in ours if key in theirs]
    folder = stored("alpaca_eval/annotations_slim")
    files = (folder / "phi-2.csv", folder / "text_davinci_001.csv")
    _, outcome = run("compare", tmp_path, *files)
    figures = outcome["figures"]
    assert figures["paired"] == len(differences) >= 801
    assert figures["wins"] == sum(each > 0 for each in differences)
    assert figures["losses"] == sum(each < 0 for each in differences)


def test_the_projects_own_file_pairs_with_a_table_of_the_same(tmp_path: Path) -> None:
    whole = stored("alpaca_eval/annotations_full/alpaca-7b.json.gz")
    table = write(tmp_path / "table.csv", rows_of("alpaca-7b")[::-1])
    _, outcome = run("compare", tmp_path, whole, table)
    assert outcome["figures"]["ties"] == 805


def small(path: Path, rows: Sequence[tuple[int, int, int, str]]) -> Path:
    lines = [f"{place},{','.join(map(str, row))}\n" for place, row in enumerate(rows)]
    path.write_text(HEADER + "".join(lines))
    return path


def test_files_that_share_too_little_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = small(tmp_path / "a.csv", [(place, 9, 8, "2") for place in range(10)])
    theirs = small(tmp_path / "b.csv", [(place, 9, 8, "1") for place in range(5, 15)])
    code, outcome = run("compare", tmp_path, ours, theirs)
    assert (code, outcome) == (1, {})
    assert "5 instructions are judged in both files, of 10 in the first" in capsys.readouterr().err
    code, outcome = run("compare", tmp_path, ours, theirs, "--min-shared", "0.5")
    assert (code, outcome["figures"]["wins"]) == (0, 5)


def test_systems_judged_against_different_references_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = small(tmp_path / "a.csv", [(place, 9, 8, "2") for place in range(10)])
    theirs = small(tmp_path / "b.csv", [(place, 10, 8, "1") for place in range(10)])
    assert run("compare", tmp_path, ours, theirs)[0] == 1
    assert "different references do not compare" in capsys.readouterr().err


def test_shuffled_rows_move_the_published_figure_alone_and_are_told(tmp_path: Path) -> None:
    rows = rows_of("vicuna-13b")
    shuffled = sorted(rows, key=lambda row: digest(row["instruction_index"]))
    paths = write(tmp_path / "right.csv", rows), write(tmp_path / "shuffled.csv", shuffled)
    code, outcome = score(tmp_path, *paths)
    assert code == 0
    right, moved = outcome["figures"]["right"], outcome["figures"]["shuffled"]
    published = right["length_controlled_win_rate"]
    assert right["length_controlled_by_instruction"]["win_rate"] == published
    assert abs(moved["length_controlled_win_rate"] - published) > 0.5
    by_instruction = moved["length_controlled_by_instruction"]["win_rate"]
    assert by_instruction == pytest.approx(published, abs=0.1)
    assert moved["moved"] > 700
    (table,) = outcome["tables"]
    assert "LC win %, as published" in table["columns"]
    assert "LC win %, by instruction" in table["columns"]
    assert f"shuffled: {moved['moved']} rows are not in AlpacaEval's order." in table["note"]


def test_doubled_rows_count_once_and_are_told(tmp_path: Path) -> None:
    rows = rows_of("vicuna-13b")
    doubled = write(tmp_path / "doubled.csv", [*rows, *rows])
    once = write(tmp_path / "once.csv", rows)
    _, outcome = score(tmp_path, doubled, once)
    assert "doubled: 805 rows are copies of others and count once." in outcome["tables"][0]["note"]
    ours, right = outcome["figures"]["doubled"], outcome["figures"]["once"]
    assert ours.pop("copies") == 805
    assert right.pop("copies") == 0
    assert ours == right


def test_rows_that_are_missing_are_told(tmp_path: Path) -> None:
    _, outcome = score(tmp_path, stored("alpaca_eval/annotations_slim/phi-2.csv"))
    assert "2 of AlpacaEval's 805 instructions are missing; 672 rows are not in" in str(
        outcome["tables"]
    )
    assert outcome["failures"] == {"phi-2": 2}


def test_verdicts_that_contradict_each_other_are_refused_with_their_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small(tmp_path / "a.csv", [(0, 9, 8, "2"), (1, 9, 8, "2"), (0, 9, 8, "1")])
    assert score(tmp_path, path)[0] == 2
    message = capsys.readouterr().err
    assert "a.csv has two verdicts on one instruction, in rows 1 and 3" in message


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda row: {**row, "len_reference": "700"}, "reference answers are not those of gpt4"),
        (
            lambda row: {**row, "instruction_index": str(900 + int(row["row"]))},
            "805 instructions are not AlpacaEval's",
        ),
    ],
)
def test_another_reference_or_other_instructions_get_no_length_controlled_rate(
    tmp_path: Path, change: Callable[[Row], Row], why: str
) -> None:
    path = write(tmp_path / "other.csv", [change(row) for row in rows_of("vicuna-13b")])
    _, outcome = score(tmp_path, path)
    figures = outcome["figures"]["other"]
    assert figures["length_controlled_win_rate"] is None
    assert figures["length_controlled_by_instruction"]["win_rate"] is None
    assert why in figures["no_length_control"]
    assert why in outcome["tables"][0]["note"]


def test_files_of_one_name_have_a_row_each(tmp_path: Path) -> None:
    for folder, preference in (("a", "2"), ("b", "1")):
        (tmp_path / folder).mkdir()
        small(tmp_path / folder / "m.csv", [(place, 9, 8, preference) for place in range(5)])
    files = tmp_path / "a" / "m.csv", tmp_path / "b" / "m.csv"
    _, outcome = score(tmp_path, *files, "--max-unjudged", 1)
    rates = {name: each["win_rate"] for name, each in outcome["figures"].items()}
    assert rates == {"m (a/m.csv)": 100, "m (b/m.csv)": 0}
    assert score(tmp_path, files[0], files[0])[0] == 2


@pytest.mark.parametrize("lack", ["unjudged", "no row"])
def test_unjudged_rows_beyond_the_limit_fail_unless_it_is_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lack: str
) -> None:
    rows = rows_of("vicuna-13b")
    for row in rows[:100]:
        row["preference"] = ""
    path = write(tmp_path / "m.csv", rows if lack == "unjudged" else rows[100:])
    assert score(tmp_path, path)[0] == 1
    assert "m: 100 of 805 are unjudged" in capsys.readouterr().err
    assert score(tmp_path, path, "--max-unjudged", "0.125")[0] == 0
    assert score(tmp_path, path, "--max-unjudged", "0.124")[0] == 1


@pytest.mark.parametrize("bad", ["-0.82", "0.5", "2.1", "3", "inf", "won", "true"])
def test_a_preference_that_cannot_be_one_is_refused_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    table = small(tmp_path / "m.csv", [(0, 9, 8, "1"), (1, 9, 8, bad)])
    assert score(tmp_path, table)[0] == 2
    assert f"{table}:3 needs a preference from 1" in capsys.readouterr().err
    row = {"instruction": "Sing.", "output_1": "a", "output_2": "b"}
    document = tmp_path / "m.json"
    document.write_text(json.dumps([{**row, "preference": value} for value in (1, bad)]))
    assert score(tmp_path, document)[0] == 2
    assert f"{document}, row 2 needs a preference from 1" in capsys.readouterr().err
    journal = tmp_path / "m.jsonl"
    verdict = {"row": 0, "reference_length": 1, "length": 1, "instruction": "a", "preference": bad}
    journal.write_text(json.dumps(verdict) + "\n")
    assert score(tmp_path, journal)[0] == 2
    assert f"{journal}:1 needs a preference from 1" in capsys.readouterr().err


def test_a_journal_from_before_verdicts_named_their_instruction_is_paired_by_its_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "verdicts.jsonl"
    verdict = {"reference_length": 9, "length": 8, "preference": 2.0}
    rows = [{**verdict, "row": 4, "alpaca": True}, {**verdict, "row": 5, "alpaca": False}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    known, unknown = read_annotations(path)
    assert known.instruction == list(known_set())[4]
    assert unknown.instruction == "#5"
    assert unknown.known is None


def test_verify_tells_a_file_with_every_row_doubled(tmp_path: Path) -> None:
    rows = rows_of("phi-2")
    published = stored("alpaca_eval/expected_dev.json")
    path = write(tmp_path / "phi-2.csv", [*rows, *rows])
    code, outcome = run("verify", tmp_path, path, "--published", published)
    assert code == 1
    assert outcome["failures"] == {"different": 1}
