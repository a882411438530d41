"""API keys: where they are read from, and that none is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server import config
from redraft.server.api.keys import ApiKey, read_keys
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
