"""Keys that are kept in files, where no list of processes shows them."""

from __future__ import annotations

from pathlib import Path

from redraft.server.options.values import ConfigError


def read_key(key: str, file: str) -> str:
    """``key``, else the content of ``file``, else an empty string."""
    return key or (read_secret(file).strip() if file else "")


def read_secret(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the key file {file}: {error}") from error
