"""docs/faults.md says what the tests of faults say, and every kind of fault has one.
Spans: docs/faults.md"""

from __future__ import annotations

from typing import get_args

import pytest

from tests.support.faults import PAGE, Group, page, rows

ROWS = list(rows())


def test_the_page_is_what_the_tests_say() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), "write it again: python -m tests.support.faults"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.test)
def test_a_row_is_whole(row: object) -> None:
    cells = str(row).strip("| ").split(" | ")
    assert len(cells) == 5
    assert all(cells)


@pytest.mark.parametrize("group", get_args(Group))
def test_every_group_has_faults(group: str) -> None:
    assert [row for row in ROWS if row.group == group]
