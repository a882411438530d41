"""The keys that are valid follow their file, and never become fewer than one by a mistake."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import Scope

from redraft.server.api.errors import ApiError
from redraft.server.api.keyring import Keyring
from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError

Opened = tuple[Keyring, Callable[[str], None]]


def scope(key: str) -> Scope:
    return {"type": "http", "headers": [(b"authorization", f"Bearer {key}".encode())]}


def opened(tmp_path: Path, text: str) -> Opened:
    """A keyring of a file, and what replaces the file."""
    file = tmp_path / "keys"
    file.write_text(text)

    def replace(changed: str) -> None:
        other = tmp_path / "other"
        other.write_text(changed)
        os.replace(other, file)

    return Keyring.open(ServerConfig(api_keys_file=str(file)), looks_s=0.0), replace


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    ring, replace = opened(tmp_path, "alice:a")
    replace("bob:b\nalice:new")
    ring.refresh()
    assert ring.client_of(scope("b")) == "bob"
    assert ring.client_of(scope("new")) == "alice"
    with pytest.raises(ApiError, match="not known"):
        ring.client_of(scope("a"))


def test_a_file_that_stays_is_not_read_again(tmp_path: Path) -> None:
    ring, _ = opened(tmp_path, "alice:a")
    before = ring.keys
    ring.refresh()
    assert ring.keys is before
    ring.reload()
    assert ring.keys is not before
    assert ring.keys == before


@pytest.mark.parametrize("text", ["", "# none\n", "sk-without-a-name", "a:b expires=soon"])
def test_a_file_that_cannot_be_used_leaves_the_keys_as_they_are(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    ring, replace = opened(tmp_path, "alice:a")
    replace(text)
    with caplog.at_level("INFO", "redraft"):
        for _ in range(3):
            ring.refresh()
    assert ring.client_of(scope("a")) == "alice"
    (record,) = caplog.records  # said once, and no key shown
    assert "the 1 read before stay valid" in record.getMessage()
    assert "sk-without" not in caplog.text


def test_a_file_that_was_removed_leaves_the_keys_as_they_are(tmp_path: Path) -> None:
    ring, replace = opened(tmp_path, "alice:a")
    (tmp_path / "keys").unlink()
    ring.refresh()
    assert ring.client_of(scope("a")) == "alice"
    replace("bob:b")
    ring.refresh()
    assert ring.client_of(scope("b")) == "bob"


def test_pages_can_be_guarded_by_keys_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--guard metrics"):
        Keyring.open(ServerConfig(guard=("metrics",)))


def test_keys_given_as_they_are_stay_as_they_are() -> None:
    ring = Keyring()
    ring.refresh()
    ring.reload()
    assert ring.keys == ()
