"""JSON on disk: one object per line, read line by line, appended durably, replaced whole; or one
document.

A line ends at "\\n" and nowhere else; ``str.splitlines`` also breaks at U+2028, which JSON allows
inside a string. A last line without its "\\n" is torn: its writer was killed while writing it.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

Row = dict[str, Any]
_SHOWN = 80  # characters of a bad line


class FileError(ValueError):
    """A file that cannot be used; the message has the place, what is there and what was
    expected."""


class LineError(FileError):
    """A line that cannot be used."""


# What the operating system says of a path that was given in vain.
UNUSABLE_PATH = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def unusable_path(error: OSError) -> str:
    """One line about an error of ``UNUSABLE_PATH``."""
    if error.filename is None:
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"there is no {error.filename}"
    if isinstance(error, IsADirectoryError):
        return f"{error.filename} is a folder, expected a file"
    return f"{error.filename} cannot be used: {error.strerror}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it stands in its file."""

    path: Path
    number: int
    data: bytes

    @property
    def where(self) -> str:
        return f"{self.path}:{self.number}"

    def row(self) -> Row:
        """The object on the line; LineError when it holds none."""
        try:
            row = json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise self.error("a JSON object") from error
        if not isinstance(row, dict):
            raise self.error("a JSON object")
        return row

    def error(self, expected: str) -> LineError:
        shown = _shortened(self.data.decode(errors="replace").rstrip("\n"))
        return LineError(f"{self.where} needs {expected}, got {shown}")


def lines(path: Path, *, torn_end: bool = False) -> Iterator[Line]:
    """Every line that is not empty, of a gzipped file too. ``torn_end``: leave out a torn last
    line, so that a file can be read while it is written."""
    for line in _every_line(path):
        if torn_end and not line.data.endswith(b"\n"):
            return
        if line.data.strip():
            yield line


def _every_line(path: Path) -> Iterator[Line]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, data in enumerate(file, 1):
                yield Line(path, number, data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path}:{number + 1} needs a whole gzip file: {error}") from error


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read(path: Path, *, torn_end: bool = False) -> Iterator[Row]:
    """The object of every line; LineError for a line that holds none."""
    return (line.row() for line in lines(path, torn_end=torn_end))


def read_text(path: Path) -> str:
    """The whole text of a file, gzipped or not; FileError when it is no UTF-8."""
    data = b"".join(line.data for line in _every_line(path))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        found = data[error.start : error.start + 1]
        raise FileError(f"{path}:{number} needs UTF-8 text, got the byte {found!r}") from error


def read_document(path: Path) -> Any:
    """The one JSON document of a file, gzipped or not; FileError when it holds none."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = _shortened(text[error.pos :].partition("\n")[0]) or "the end of the file"
        raise FileError(f"{path}:{error.lineno} needs JSON, got {found}") from error
    except RecursionError as error:
        raise FileError(f"{path} needs JSON that is not nested a thousand times") from error


def encode(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can carry
        return json.dumps(row).encode("ascii") + b"\n"


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Replace ``path`` with these rows, whole or not at all; returns their number."""
    count = 0
    with _replacement(path) as file:
        for row in rows:
            file.write(encode(row))
            count += 1
    return count


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace ``path`` with one JSON document, indented for people, whole or not at all."""
    with _replacement(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


@contextmanager
def _replacement(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class Appender:
    """A file that is only appended to. A line is in it whole or, after a crash, torn at its end."""

    def __init__(self, path: Path, *, mode: int = 0o666, exclusive: bool = False) -> None:
        """``exclusive``: BlockingIOError while another exclusive appender has the file open."""
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
        if exclusive:
            self._lock()

    def repair(self) -> int:
        """Remove a torn last line, so that the next one does not continue it; returns its size.
        Only for a file with no other writer."""
        torn = torn_bytes(self.path)
        if torn:
            os.ftruncate(self._fd, self.size - torn)
        return torn

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    @property
    def removed(self) -> bool:
        """Whether the path no longer leads to this file."""
        try:
            there, open_file = os.stat(self.path), os.fstat(self._fd)
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (open_file.st_dev, open_file.st_ino)

    def write(self, data: bytes) -> None:
        """Hand whole lines to the operating system; they survive the death of this process."""
        before = self.size
        if os.write(self._fd, data) < len(data):
            os.ftruncate(self._fd, before)
            raise OSError(f"only a part of {len(data)} bytes could be written to {self.path}")

    def sync(self) -> None:
        """Return when everything written so far survives a power cut."""
        os.fsync(self._fd)

    def append(self, row: Mapping[str, Any]) -> None:
        """Return when the row is on the disk."""
        self.write(encode(row))
        self.sync()

    def close(self) -> None:
        os.close(self._fd)

    def _lock(self) -> None:
        import fcntl  # missing on Windows

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise


def torn_bytes(path: Path) -> int:
    """The length of the torn line at the end of a file; 0 when there is none."""
    last = b""
    with path.open("rb") as file:
        for line in file:
            last = line
    return 0 if last.endswith(b"\n") else len(last)
