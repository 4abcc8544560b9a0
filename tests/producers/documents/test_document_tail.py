"""The tail decides which records of a document win, as the store does by their rank."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.documents.record import (
    RECORD_OVERHEAD_BYTES,
    DocumentKey,
    DocumentRecord,
    rank_of,
    record_of,
    value_of,
)
from producers.documents.tail import DocumentTail

KEY = DocumentKey("p", "note", "n")
REVISIONS = st.lists(st.integers(1, 5), max_size=12)


def record(revision: int, *, is_versioned: bool = False) -> DocumentRecord:
    return DocumentRecord(
        project_id="p",
        kind="note",
        id="n",
        revision=revision,
        is_versioned=int(is_versioned),
        created_us=1,
        updated_us=revision,
        body="{}",
    )


def filled(revisions: list[int], *, is_versioned: bool = False) -> DocumentTail:
    tail = DocumentTail()
    for offset, revision in enumerate(revisions):
        tail.apply(record(revision, is_versioned=is_versioned), offset, 2, now_s=offset)
    return tail


@given(REVISIONS)
def test_the_current_record_is_that_of_the_highest_rank(revisions: list[int]) -> None:
    ranks = {rank_of(revision, offset): offset for offset, revision in enumerate(revisions)}
    current = [each.offset for each in filled(revisions).revisions(KEY)]
    assert current == ([ranks[max(ranks)]] if ranks else [])


@given(REVISIONS)
def test_a_record_takes_effect_if_its_revision_is_higher_than_all_before(
    revisions: list[int],
) -> None:
    tail = filled(revisions, is_versioned=True)
    winners = [
        offset
        for offset, revision in enumerate(revisions)
        if revision > max(revisions[:offset], default=0)
    ]
    assert [each.offset for each in tail.revisions(KEY)] == winners
    assert [offset for offset in range(len(revisions)) if tail.has_won(offset)] == winners


@given(REVISIONS, st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_only_records_that_are_stored_and_old_enough_are_evicted(
    revisions: list[int], stored_up_to: int, applied_before: int, is_versioned: bool
) -> None:
    tail = filled(revisions, is_versioned=is_versioned)
    before = [each.offset for each in tail.revisions(KEY)]
    tail.evict(stored_up_to=stored_up_to, applied_before_s=applied_before)
    first = min(stored_up_to, applied_before, len(revisions))
    assert [each.offset for each in tail.revisions(KEY)] == [n for n in before if n >= first]
    assert len(tail) == len(revisions) - first
    assert tail.size_bytes == len(tail) * (RECORD_OVERHEAD_BYTES + 2)


def test_a_record_is_read_as_it_was_written() -> None:
    assert record_of(value_of(record(7, is_versioned=True))) == record(7, is_versioned=True)
