"""JSON lines on disk: read, replaced, appended."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redraft.server import jsonl

# What breaks a line for str.splitlines, and what UTF-8 cannot hold.
HOSTILE = ["\u2028\u2029\x85\x0b\x0c", "\r\n", "\ud800", "\x00", "é日本"]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.jsonl"
    assert jsonl.write(path, [{"text": text}, {"text": "after"}]) == 2
    assert list(jsonl.read(path)) == [{"text": text}, {"text": "after"}]
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("bad", [b"not json", b"[1]", b'"text"', b"\xff\xfe{}", b'{"a": 1'])
def test_a_line_without_an_object_is_an_error_that_says_where(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n\n" + bad + b"\n{}\n")
    with pytest.raises(jsonl.LineError, match=r"rows\.jsonl:3 needs a JSON object, got"):
        list(jsonl.read(path))


def test_a_long_bad_line_is_shortened_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("x" * 10_000)
    with pytest.raises(jsonl.LineError) as caught:
        list(jsonl.read(path))
    assert len(str(caught.value)) < 200 + len(str(path))


def test_a_torn_last_line_is_passed_over_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": ')
    assert list(jsonl.read(path, torn_end=True)) == [{"a": 1}]
    with pytest.raises(jsonl.LineError, match=r":2 needs"):
        list(jsonl.read(path))


def test_a_gzipped_file_is_read_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert [row["a"] for row in jsonl.read(path)] == [1, 2]


def test_a_failed_replacement_leaves_what_was_there(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"new": 1}
        raise RuntimeError

    path = tmp_path / "folder" / "rows.jsonl"
    jsonl.write(path, [{"old": 1}])
    with pytest.raises(RuntimeError):
        jsonl.write(path, rows())
    assert list(jsonl.read(path)) == [{"old": 1}]


def test_a_document_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "one.json"
    jsonl.write_json(path, {"a": "é"})
    assert json.loads(path.read_bytes()) == {"a": "é"}
    assert "é" in path.read_text("utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_what_is_appended_follows_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for number in range(3):
        rows = jsonl.Appender(path)
        rows.append({"number": number})
        rows.close()
    assert [row["number"] for row in jsonl.read(path)] == [0, 1, 2]


def test_a_repaired_file_is_continued_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": ')
    rows = jsonl.Appender(path)
    assert rows.repair() == 6
    assert rows.repair() == 0
    rows.append({"a": 2})
    rows.close()
    assert [row["a"] for row in jsonl.read(path)] == [1, 2]


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    """The most a file may hold stands in for the disk."""
    path = tmp_path / "rows.jsonl"
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from redraft.server import jsonl\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
        "rows = jsonl.Appender(Path(sys.argv[1]))\n"
        "rows.append({'text': 'x' * 50})\n"
        "try: rows.append({'text': 'y' * 50})\n"
        "except OSError as error: print(error)\n"
        "rows.append({'text': 'z'})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert "only a part of 63 bytes could be written" in ended.stdout
    assert [row["text"][0] for row in jsonl.read(path)] == ["x", "z"]


def test_an_exclusive_appender_keeps_others_out_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    first = jsonl.Appender(path, exclusive=True)
    with pytest.raises(BlockingIOError):
        jsonl.Appender(path, exclusive=True)
    first.close()
    jsonl.Appender(path, exclusive=True).close()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "a.json:1 needs JSON, got the end of the file"),
        (b'{"a":\n [1, 2', "a.json:2 needs JSON, got the end of the file"),
        (b"{}\nmore", "a.json:2 needs JSON, got more"),
        (b'{"a":\n "\xff"}', "a.json:2 needs UTF-8 text, got the byte b'\\xff'"),
        (b"[" * 100_000, "a.json needs JSON that is not nested a thousand times"),
    ],
)
def test_a_document_that_is_none_is_an_error_that_says_where(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(jsonl.FileError) as caught:
        jsonl.read_document(path)
    assert str(caught.value) == f"{tmp_path}/{complaint}"


def test_a_document_may_be_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress('{"a": "\u2028"}'.encode()))
    assert jsonl.read_document(path) == {"a": "\u2028"}


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"{}\n" * 9, mtime=0)[:-12], b"no gzip", b""],
    ids=["cut", "no gzip", "empty"],
)
def test_a_gzipped_file_that_is_cut_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(content)
    if content:
        with pytest.raises(jsonl.FileError, match="needs a whole gzip file"):
            list(jsonl.read(path))
    else:
        assert list(jsonl.read(path)) == []


def test_what_is_no_file_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(jsonl.UNUSABLE_PATH) as caught:
        list(jsonl.read(tmp_path))
    assert jsonl.unusable_path(caught.value) == f"{tmp_path} is a folder, expected a file"
    with pytest.raises(jsonl.UNUSABLE_PATH) as caught:
        list(jsonl.read(tmp_path / "a"))
    assert jsonl.unusable_path(caught.value) == f"there is no {tmp_path}/a"
