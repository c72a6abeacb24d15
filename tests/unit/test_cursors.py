"""The cursor of a page of exports stands for one place in one list."""

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from shared.api import cursors
from shared.api.exports import STATUSES

ids = st.uuids().map(str)
owners = st.from_regex(r"[A-Za-z0-9_-]{1,64}#[A-Za-z0-9-]{1,128}", fullmatch=True)
statuses = st.sampled_from([None, *STATUSES])
lists = st.tuples(owners, statuses)


@given(ids, lists)
def test_it_leads_back_to_its_place(export_id: str, of: tuple[str, str | None]) -> None:
    assert cursors.read(cursors.write(export_id, *of), *of) == export_id


@given(ids, lists)
def test_it_can_stand_in_an_address_as_it_is(export_id: str, of: tuple[str, str | None]) -> None:
    assert re.fullmatch("[A-Za-z0-9_-]{43}", cursors.write(export_id, *of))


@given(ids, st.lists(lists, min_size=2, max_size=2, unique=True))
def test_it_is_none_of_another_list(export_id: str, two: list[tuple[str, str | None]]) -> None:
    assert cursors.read(cursors.write(export_id, *two[0]), *two[1]) is None


@given(ids, lists, st.integers(0, 42), st.sampled_from(string.ascii_letters + string.digits + "-_="))
def test_any_letter_that_is_changed_is_noticed(
    export_id: str, of: tuple[str, str | None], place: int, letter: str
) -> None:
    cursor = cursors.write(export_id, *of)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    assert cursors.read(changed, *of) == (export_id if changed == cursor else None)


@given(st.text(), lists)
def test_text_is_no_cursor(text: str, of: tuple[str, str | None]) -> None:
    assert cursors.read(text, *of) is None
