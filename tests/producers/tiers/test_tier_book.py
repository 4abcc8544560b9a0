"""The tiers of users, as the records of the topic leave them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.tiers.book import TierBook
from producers.tiers.record import Tier, key_of, tier_of, value_of

CHANGES = st.lists(
    st.builds(
        Tier,
        project_id=st.sampled_from(["p", "p.2"]),
        user_id=st.sampled_from(["u", "a/b", "/", "ü", " ", "p/u"]),
        tier=st.sampled_from(["", "free", "pro"]),
    ),
    max_size=30,
)


@given(CHANGES)
def test_the_last_record_of_a_user_is_valid_also_if_records_are_read_again(
    changes: list[Tier],
) -> None:
    book, expected = TierBook(), {}
    for number, change in enumerate(changes):
        expected[change.project_id, change.user_id] = change.tier
        if number % 3 == 0:
            book.apply(change)
        book.apply(change)
    for project_id in ("p", "p.2"):
        users = {u: tier for (p, u), tier in expected.items() if p == project_id and tier}
        assert book.in_project(project_id) == users
        assert all(book.tier_of(project_id, user) == tier for user, tier in users.items())
    assert len(book) == sum(map(bool, expected.values()))


@given(CHANGES)
def test_a_record_describes_the_same_tier_when_it_is_read(changes: list[Tier]) -> None:
    for change in changes:
        key = key_of(change.project_id, change.user_id)
        assert tier_of(key, value_of(change)) == change


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"", b"{}"), (b"no slash", None), (b"p/\xff", None), (b"p/u", b"{"), (b"p/u", b'{"tier":1}')],
)
def test_other_records_are_refused(key: bytes, value: bytes | None) -> None:
    with pytest.raises(ValueError):
        tier_of(key, value)
