"""The cursor of a page of exports: one place in one list."""

import re
import string

from hypothesis import example, given
from hypothesis import strategies as st

from shared.api import cursors
from shared.api.exports import STATUSES
from tests.unit.support import EXPORT_ID, OWNER

ids = st.uuids().map(str)
owners = st.from_regex(r"[A-Za-z0-9_-]{1,64}#[A-Za-z0-9-]{1,128}", fullmatch=True)
statuses = st.sampled_from([None, *STATUSES])
lists = st.tuples(owners, statuses)


@given(ids, lists)
def test_a_cursor_leads_back_to_its_place_and_can_stand_in_a_url_as_it_is(
    export_id: str, of: tuple[str, str | None]
) -> None:
    cursor = cursors.write(export_id, *of)
    assert re.fullmatch("[A-Za-z0-9_-]{43}", cursor)
    assert cursors.read(cursor, *of) == export_id


@given(ids, st.lists(lists, min_size=2, max_size=2, unique=True))
def test_a_cursor_does_not_belong_to_another_list(export_id: str, two: list[tuple[str, str | None]]) -> None:
    assert cursors.read(cursors.write(export_id, *two[0]), *two[1]) is None


@given(ids, lists, st.integers(0, 42), st.sampled_from(string.ascii_letters + string.digits + "-_="))
def test_a_changed_character_is_detected(export_id: str, of: tuple[str, str | None], place: int, letter: str) -> None:
    cursor = cursors.write(export_id, *of)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    assert cursors.read(changed, *of) == (export_id if changed == cursor else None)


TYPICAL = cursors.write(EXPORT_ID, OWNER, None)


@given(st.text())
@example(TYPICAL + "=")
@example(TYPICAL + "\n")
@example("A" * 43)
@example(EXPORT_ID)
@example("ü")
def test_another_text_is_not_a_cursor(text: str) -> None:
    assert cursors.read(text, OWNER, None) is None
