"""Stop strings never reach the reader, and what does reach the reader has exactly its tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redraft.server.engine.stop_strings import Released, StopStrings


def test_text_passes_at_once_when_there_is_nothing_to_stop_at() -> None:
    assert StopStrings(()).push("any", (1,)) == Released("any", (1,))


def test_text_that_cannot_become_a_stop_string_passes_at_once() -> None:
    assert StopStrings(("END",)).push("any", (1,)) == Released("any", (1,))


def test_the_beginning_of_a_stop_string_is_withheld_until_it_is_known_not_to_be_one() -> None:
    stop = StopStrings(("END",))
    assert stop.push("the E", (1,)) == Released()
    assert stop.push("N", (2,)) == Released()
    assert stop.push("T", (3,)) == Released("the ENT", (1, 2, 3))


def test_a_token_cut_by_a_stop_string_gives_its_beginning_without_its_id() -> None:
    stop = StopStrings(("\n\n###",))
    assert stop.push("done", (1,)) == Released("done", (1,))
    assert stop.push(".\n\n", (2,)) == Released()
    assert stop.push("###", (3,)) == Released(fragment=".")
    assert stop.found


def test_whole_tokens_before_a_stop_string_keep_their_ids() -> None:
    stop = StopStrings(("ENDE",))
    assert stop.push("E", (1,)) == Released()
    assert stop.push("ENDE", (2,)) == Released("E", (1,))
    assert stop.found


def test_the_first_of_several_stop_strings_counts() -> None:
    stop = StopStrings(("later", "first"))
    assert stop.push("at first or later", (1,)) == Released(fragment="at ")


def test_what_was_withheld_is_given_at_the_end() -> None:
    stop = StopStrings(("END",))
    stop.push("E", (1,))
    assert stop.flush() == Released("E", (1,))
    assert stop.flush() == Released()


def test_first_bytes_of_a_character_stay_with_the_token_that_completes_it() -> None:
    stop = StopStrings(("END",))
    assert stop.push("", (1,)) == Released()
    assert stop.push("é", (2,)) == Released("é", (1, 2))


def test_bytes_of_a_character_that_never_comes_are_dropped() -> None:
    stop = StopStrings(())
    stop.push("a", (1,))
    assert stop.push("", (2,)) == Released()
    assert stop.flush() == Released()


@given(
    st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=12),
    st.lists(st.text("ab\n", min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_the_text_ends_where_the_first_stop_string_begins(
    pieces: list[str], strings: list[str]
) -> None:
    stop = StopStrings(tuple(strings))
    text, ids = "", list[int]()
    for index, piece in enumerate(pieces):
        released = stop.push(piece, (index,))
        text += released.text + released.fragment
        ids.extend(released.token_ids)
        if stop.found:
            break
    else:
        rest = stop.flush()
        text += rest.text
        assert [*ids, *rest.token_ids] == list(range(len(pieces)))
    whole = "".join(pieces)
    assert whole.startswith(text)
    assert stop.found == any(s in whole for s in strings)
    assert not any(s in text for s in strings)
    assert ids == list(range(len(ids)))
