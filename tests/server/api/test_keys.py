"""API keys: where they are read from, and that none is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.types import Scope

from redraft.server import config
from redraft.server.api.errors import ApiError
from redraft.server.api.keys import ApiKey, client_of, entry_of, read_keys
from redraft.server.options import ConfigError


def test_api_keys_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# team keys\nalice: one\n\nbob:two\n")
    chosen = config.read(["--api-keys-file", str(file)], {"REDRAFT_API_KEYS": "carol:three"})
    names = [("carol", "three"), ("alice", "one"), ("bob", "two")]
    assert read_keys(chosen) == [ApiKey.of(name, key) for name, key in names]


def test_an_api_key_without_a_name_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="NAME:KEY") as error:
        read_keys(config.read([], {"REDRAFT_API_KEYS": "sk-hush"}))
    assert "hush" not in str(error.value)


def scope(key: str) -> Scope:
    return {"type": "http", "headers": [(b"authorization", f"Bearer {key}".encode())]}


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("alice:sk-1", "sk-1"),
        (" alice : with spaces ", "with spaces"),
        ("alice:a:b:c", "a:b:c"),
        ("alice:sha256:short", "sha256:short"),
        ("alice:key=expires=never", "key=expires=never"),
    ],
)
def test_a_key_file_of_before_still_says_the_same(entry: str, key: str) -> None:
    assert ApiKey.read(entry) == ApiKey.of("alice", key)


def test_a_hash_stands_for_its_key() -> None:
    entry = entry_of("alice", "sk-1")
    assert "sk-1" not in entry
    read = ApiKey.read(entry)
    assert read == ApiKey.of("alice", "sk-1")
    assert client_of(scope("sk-1"), [read]) == "alice"
    with pytest.raises(ApiError, match="not known"):  # the hash itself is no key
        client_of(scope(entry.partition(":")[2]), [read])


def test_a_key_is_valid_through_its_last_day() -> None:
    today = datetime.now(UTC).date()
    for entry in (f"alice:k expires={today}", f"{entry_of('alice', 'k')} expires={today}"):
        assert client_of(scope("k"), [ApiKey.read(entry)]) == "alice"
    yesterday = ApiKey.read(f"alice:k expires={today - timedelta(days=1)}")
    with pytest.raises(ApiError, match="expired") as refused:
        client_of(scope("k"), [yesterday])
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")


def test_a_key_may_expire_at_a_time_of_day() -> None:
    read = ApiKey.read("alice:k expires=2027-01-31T12:00:00+02:00")
    assert read.expires == datetime(2027, 1, 31, 10, tzinfo=UTC)


def test_a_renewed_key_is_valid_beside_the_expired_one() -> None:
    keys = [ApiKey.read("alice:k expires=2020-01-01"), ApiKey.read("alice:k expires=9999-01-01")]
    assert client_of(scope("k"), keys) == "alice"


def test_a_day_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'alice' has expires=soon") as refused:
        ApiKey.read("alice:sk-hush expires=soon")
    assert "hush" not in str(refused.value)
