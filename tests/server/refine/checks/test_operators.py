"""An operator's own kinds of checks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from redraft.server.build import build
from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError
from redraft.server.refine.checks import KINDS, read_check, verify
from redraft.server.refine.checks.operators import load

MODULE = "tests.support.polite_checks"


@pytest.fixture
def loaded() -> Iterator[None]:
    names = load(f"{MODULE}:checks")
    yield
    for name in names:
        del KINDS[name]


@pytest.mark.usefixtures("loaded")
def test_a_loaded_kind_is_like_any_other() -> None:
    check = read_check({"kind": "polite"})
    assert verify(check, "Please go.").passed
    assert verify(check, "Go.").line() == "says please: no please. Not met."


@pytest.mark.usefixtures("loaded")
def test_a_loaded_kind_that_raises_is_not_met() -> None:
    finding = verify(read_check({"kind": "broken"}), "Go.")
    assert (finding.passed, finding.found) == (False, "the check itself failed (RuntimeError)")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (MODULE, "expected module:function"),
        ("no_such_module:checks", "cannot be imported: No module named 'no_such_module'"),
        (f"{MODULE}:none", "cannot be imported"),
        (f"{MODULE}:taken", "gives a check 'words', and there is one of that name"),
        (f"{MODULE}:twice", "gives two checks of one name: polite"),
        (f"{MODULE}:other", "gives 'words', expected a Kind"),
    ],
)
def test_what_cannot_be_loaded_is_said_when_the_server_starts(name: str, message: str) -> None:
    config = ServerConfig(engine="scripted", checks=(name,))
    with pytest.raises(ConfigError, match=message):
        asyncio.run(build(config, lambda line: None))


def test_a_critic_has_no_name_that_means_something_else() -> None:
    config = ServerConfig(engine="scripted", critic=("off=http://127.0.0.1:1/v1",))
    with pytest.raises(ConfigError, match="a critic has the name 'off'"):
        asyncio.run(build(config, lambda line: None))
