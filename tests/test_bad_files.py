"""A file that cannot be used ends every command that reads one in a single line: which file, what
it needs, and an exit code that is not 0.
Spans: benchmarks, train"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redraft.benchmarks.__main__ import main as bench
from redraft.train.__main__ import main as train

PROGRAMS = {"bench": bench, "train": train}
MODEL = Path(__file__).resolve().parents[1] / "models" / "redraft-workbench"
NOWHERE = "--url http://127.0.0.1:9 --model m"

NUMBERS = "numbers for texts"
LINES = {
    "empty": b"",
    "cut": b'{"prompt": "Sing.", "answers": ["La',
    "another column": b'{"nothing": 1}\n',
    NUMBERS: b'{"prompt": 1, "answers": 2, "chosen": 3, "rejected": 4, "row": {}}\n',
    "no objects": b"[1]\n",
    "not UTF-8": b'{"prompt": "\xe9"}\n',
}
DOCUMENT = {
    "empty": b"",
    "cut": b'[{"instruction": "Sing.", "output',
    "another column": b'[{"nothing": 1}]',
    NUMBERS: b'[{"instruction": 1, "output": 2, "output_1": 3, "output_2": 4}]',
    "another shape": b'{"nothing": 1}',
    "no objects": b"1",
    "not UTF-8": b'[{"instruction": "\xe9"}]',
}
TABLE = {
    "empty": b"",
    "cut": b"model,instruction_index,len_reference,len_model,preference\nm,1,2\n",
    "another column": b"nothing\n1\n",
    "words for numbers": b"model,instruction_index,len_reference,len_model,preference\nm,a,b,c,d\n",
    "not UTF-8": b"model,instruction_index,len_reference,len_model,preference\n\xe9,1,2,3,1\n",
}
SETTINGS = {
    "empty": b"",
    "cut": b"name: [1,\n",
    "another column": b"nothing: 1\n",
    "another shape": b"name: a\noutput: b\nsteps: 3\n",
    "steps of another shape": b"name: a\noutput: b\nsteps: {filter: 3}\n",
    "not UTF-8": b"name: \xe9\n",
}
COLUMNS = {"empty": b"", "another format": b"{}\n"}
CONTENTS = {
    ".jsonl": LINES,
    ".json": DOCUMENT,
    ".csv": TABLE,
    ".yaml": SETTINGS,
    ".parquet": COLUMNS,
}

# FILE is the bad one, or what follows " @ " in the folder DATA; these are made by the test.
OF_THE_TEST = ("FILE", "GOOD", "PAIRS", "DATA", "OUT")
CURVE = "bench experiments data-curve --lessons FILE.jsonl --base OUT --arms OUT"
PAIR_CURVE = "bench experiments data-curve --stage 2 --stage1 OUT --pairs FILE.jsonl --arms OUT"
COMMANDS = (
    f"bench compute FILE.jsonl {NOWHERE}",
    f"bench pilot FILE.jsonl {NOWHERE}",
    f"bench experiments rerank --labelled FILE.jsonl {NOWHERE}",
    f"bench experiments wordings --labelled GOOD.jsonl --languages FILE.jsonl {NOWHERE}",
    f"bench agreement --data FILE.jsonl {NOWHERE}",
    f"bench winrate answer --instructions FILE.jsonl {NOWHERE}",
    f"bench winrate answer --instructions FILE.json {NOWHERE}",
    f"bench winrate judge --reference FILE.json {NOWHERE}",
    f"bench winrate judge --reference GOOD.json --answers FILE.json {NOWHERE}",
    "bench winrate score FILE.csv",
    "bench winrate score FILE.json",
    "bench winrate score FILE.jsonl",
    "bench winrate score GOOD.csv --gamed FILE.csv",
    "bench winrate compare FILE.csv GOOD.csv",
    "bench winrate compare GOOD.csv FILE.json",
    "bench winrate verify FILE.csv --published GOOD.csv",
    "bench winrate verify GOOD.csv --published FILE.csv",
    "bench winrate verify GOOD.csv --published FILE.json",
    f"bench tasks run --data DATA --sets gsm8k {NOWHERE} @ gsm8k/train.jsonl",
    f"bench tasks run --data DATA --sets gsm8k {NOWHERE} @ gsm8k/test.jsonl",
    f"bench tasks run --data DATA --sets bbh {NOWHERE} @ bbh/tasks/navigate.json",
    f"bench tasks run --data DATA --sets tydiqa {NOWHERE} @ tydiqa_goldp/dev/thai.jsonl",
    "bench tasks verify --data DATA @ gsm8k/scored_model_solutions.jsonl",
    "bench tasks verify --data DATA @ gsm8k/expected.json",
    "bench tasks verify --data DATA @ bbh/expected.json",
    "bench tasks verify --data DATA @ bbh/scored_outputs/navigate.jsonl",
    "bench report FILE.json",
    f"bench workbench card --model {MODEL} --answers OUT --experiments FILE.json",
    f"bench workbench measure --base OUT --model {MODEL} --experiments FILE.json --output OUT",
    CURVE,
    PAIR_CURVE,
    "bench experiments ablation --lessons FILE.jsonl --base OUT --families sums --arms OUT",
    "bench workbench judge --answers FILE.jsonl --output OUT/judged.jsonl",
    f"train collect --data FILE.jsonl --output OUT --model {MODEL} --critic exact",
    f"train collect --data FILE.json --output OUT --model {MODEL} --critic exact",
    f"train collect --data FILE.parquet --output OUT --model {MODEL} --critic exact",
    "train filter --data FILE.jsonl --output OUT",
    "train preferences --traces FILE.jsonl --output OUT",
    "train preferences --lessons FILE.jsonl --output OUT",
    "train run FILE.yaml",
)
WITH_MODEL = (
    f"train sft --model {MODEL} --lessons FILE.jsonl --output OUT",
    f"train sft --model {MODEL} --responses FILE.jsonl --output OUT",
    f"train sft --model {MODEL} --responses FILE.json --output OUT",
    f"train dpo --model {MODEL} --pairs FILE.jsonl --output OUT",
    f"train dpo --model {MODEL} --pairs PAIRS.jsonl --judgements FILE.jsonl --output OUT",
    f"train agreement --model {MODEL} --pairs FILE.jsonl --output OUT/a.json",
    f"train agreement --model {MODEL} --pairs PAIRS.jsonl --before FILE.json --output OUT/a.json",
    f"train merge --model {MODEL} --calibration FILE.json --output OUT",
    f"train merge --model {MODEL} --evaluation FILE.json --output OUT",
)
# What is no bad file to a command: one of several that are found by pattern may be missing, a
# leaderboard may have words in place of figures, figures for a manifest may have any names, and
# what is in a lesson is for the training to say.
ACCEPTED = {
    *((curve, bad) for curve in (CURVE, PAIR_CURVE) for bad in ("another column", NUMBERS)),
    (f"bench tasks run --data DATA --sets bbh {NOWHERE} @ bbh/tasks/navigate.json", "missing"),
    (
        f"bench tasks run --data DATA --sets tydiqa {NOWHERE} @ tydiqa_goldp/dev/thai.jsonl",
        "missing",
    ),
    ("bench winrate verify GOOD.csv --published FILE.csv", "words for numbers"),
    (f"train merge --model {MODEL} --evaluation FILE.json --output OUT", "another shape"),
}


def cases(commands: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for command in commands:
        bad = [*CONTENTS[bad_path(command).suffix], "folder", "missing"]
        found += [(command, each) for each in bad if (command, each) not in ACCEPTED]
    return found


def bad_path(command: str) -> Path:
    """Which file is bad, in the folder of the test."""
    if " @ " in command:
        return Path("DATA") / command.partition(" @ ")[2]
    return Path(next(word for word in command.split() if word.startswith("FILE")))


def named(case: object) -> str:
    return str(case).replace(str(MODEL), "MODEL").replace(NOWHERE, "").replace("/", "-")


@pytest.mark.parametrize(("command", "bad"), cases(COMMANDS), ids=named)
def test_a_bad_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, bad: str
) -> None:
    check(tmp_path, capsys, command, bad)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "bad"), cases(WITH_MODEL), ids=named)
def test_a_bad_file_is_one_line_with_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, bad: str
) -> None:
    pytest.importorskip("trl", reason="the train extra is not installed")
    check(tmp_path, capsys, command, bad)


def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, bad: str) -> None:
    good(tmp_path)
    path = tmp_path / bad_path(command)
    path.unlink(missing_ok=True)
    if bad == "folder":
        path.mkdir()
    elif bad != "missing":
        path.write_bytes(CONTENTS[path.suffix][bad])
    program, *words = command.partition(" @ ")[0].split()
    arguments = [str(tmp_path / w) if w.startswith(OF_THE_TEST) else w for w in words]
    if program == "bench" and "--output" not in words and "card" not in words:
        arguments += ["--out", str(tmp_path / "OUT" / "report.html")]
    code = PROGRAMS[program](arguments)
    message = capsys.readouterr().err
    assert code in (1, 2), message
    # Libraries show their progress there, too.
    lines = [line for line in message.splitlines() if line.startswith("redraft")]
    assert len(lines) == 1, message
    assert message.endswith(f"{lines[0]}\n")
    assert str(path) in lines[0]


def good(folder: Path) -> None:
    """Good files, of which one will be replaced."""
    rows = "".join(f"m,{place},9,8,2\n" for place in range(3))
    files = {
        "GOOD.csv": f"model,instruction_index,len_reference,len_model,preference\n{rows}",
        "GOOD.jsonl": {"prompt": "Sing.", "answers": ["La"]},
        "GOOD.json": [{"instruction": "Sing.", "output": "La"}],
        "PAIRS.jsonl": {
            "messages": [{"role": "user", "content": "Sing."}],
            "chosen": "La",
            "rejected": "No",
        },
        "DATA/gsm8k/train.jsonl": {"question": "1?", "answer": "#### 1"},
        "DATA/gsm8k/test.jsonl": {"question": "1?", "answer": "#### 1"},
        "DATA/gsm8k/scored_model_solutions.jsonl": {
            "row": 0,
            "ground_truth": "A: 1",
            "m": {"is_correct": True, "solution": "A: 1"},
        },
        "DATA/gsm8k/expected.json": {"m": {"n": 8, "accuracy": 100}},
        "DATA/bbh/cot-prompts/navigate.txt": "notice\n-----\nQ: 1?\nA: 1.",
        "DATA/bbh/tasks/navigate.json": {"examples": [{"input": "1?", "target": "1"}]},
        "DATA/bbh/scored_outputs/navigate.jsonl": {
            "mode": "cot",
            "row": 0,
            "prediction": "1",
            "target": "1",
        },
        "DATA/bbh/expected.json": {
            "navigate": {"n": 8, "cot_accuracy": 100, "direct_accuracy": 100}
        },
        "DATA/tydiqa_goldp/dev/thai.jsonl": {
            "context": "1",
            "question": "1?",
            "answers": {"text": ["1"]},
        },
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(f"{text}\n" * 8 if path.suffix == ".jsonl" else text)
