"""The record to set aside is derived from what workers wrote before they ended."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.core.quarantine.quarantined import (
    Attempt,
    is_single,
    is_suspicious,
    next_attempt,
    offset_to_set_aside,
    only_lines,
    without_lines,
)

WORKER_DEATHS = 3


def entering(attempt: Attempt, offset: int) -> Attempt:
    return msgspec.structs.replace(attempt, single_offset=offset)


def ended(attempt: Attempt) -> Attempt:
    return msgspec.structs.replace(attempt, ended=True, single_offset=-1)


def test_nothing_is_suspected_at_first_or_after_a_clean_end() -> None:
    first = next_attempt(None, 4, "a")
    assert not is_suspicious(first)
    assert not is_suspicious(next_attempt(ended(first), 4, "b"))


def test_after_an_unclean_end_records_are_tried_and_after_two_without_progress_one_at_a_time() -> (
    None
):
    first = next_attempt(None, 4, "a")
    second = next_attempt(first, 9, "b")
    assert is_suspicious(second)
    assert not is_single(second)
    third = next_attempt(second, 9, "c")
    assert is_single(third)
    assert not is_single(next_attempt(third, 10, "d"))


def test_a_record_that_was_processed_alone_before_each_of_three_deaths_is_set_aside() -> None:
    attempt = next_attempt(next_attempt(None, 4, "a"), 4, "b")
    for deaths in range(WORKER_DEATHS):
        assert offset_to_set_aside(attempt, WORKER_DEATHS) is None, deaths
        attempt = next_attempt(entering(attempt, 5), 4, "c")
    assert offset_to_set_aside(attempt, WORKER_DEATHS) == 5


def test_a_record_that_took_effect_is_not_set_aside() -> None:
    attempt = next_attempt(None, 4, "a")
    for _ in range(WORKER_DEATHS):
        attempt = next_attempt(entering(attempt, 5), 5, "b")
    assert offset_to_set_aside(attempt, 1) is None


def test_deaths_at_different_records_set_nothing_aside() -> None:
    attempt = next_attempt(None, 4, "a")
    for offset in (5, 6, 5, 6):
        attempt = next_attempt(entering(attempt, offset), 4, "b")
        assert offset_to_set_aside(attempt, 2) is None


class World:
    """A partition whose records are processed alone; one of them crashes every worker."""

    records = 20

    def __init__(self, poison: int) -> None:
        self.poison = poison
        self.resume_after = -1
        self.aside: set[int] = set()
        self._attempt: Attempt | None = None
        self._hits = Counter[int]()

    def live(self, records: int, *, is_hit: bool = False, is_clean: bool = False) -> None:
        """A worker that processes so many records, unless one ends it, and is then killed.

        ``is_hit``: in the moment when the next record is entered. The random pause before a record
        that is suspected already keeps kills from hitting it as often as a poison.
        """
        attempt = next_attempt(self._attempt, self.resume_after, "x")
        guilty = offset_to_set_aside(attempt, WORKER_DEATHS)
        if guilty is not None:
            self.aside.add(guilty)
        for _ in range(records):
            offset = self.resume_after + 1
            if offset == self.poison and offset not in self.aside:
                self._attempt = entering(attempt, offset)
                return
            if offset < self.records:
                self.resume_after = offset
        following = self.resume_after + 1
        if is_clean:
            self._attempt = ended(attempt)
        elif is_hit and self._hits[following] < WORKER_DEATHS - 1:
            self._hits[following] += 1
            self._attempt = entering(attempt, following)
        else:
            self._attempt = attempt


@given(
    st.integers(0, World.records - 1),
    st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), max_size=40),
)
def test_only_the_poison_is_set_aside_although_workers_are_killed_from_outside(
    poison: int, lives: list[tuple[int, bool, bool]]
) -> None:
    world = World(poison)
    for records, is_hit, is_clean in lives:
        world.live(records, is_hit=is_hit and world.resume_after + 1 != poison, is_clean=is_clean)
        assert world.aside <= {poison}
    for _ in range(WORKER_DEATHS + 1):
        world.live(World.records)
    assert world.aside == {poison}
    assert world.resume_after == World.records - 1


@given(st.lists(st.binary(max_size=5).filter(lambda b: b"\n" not in b), min_size=1), st.data())
def test_a_record_is_split_into_the_lines_set_aside_and_the_others(
    lines: list[bytes], data: st.DataObject
) -> None:
    value = b"\n".join(lines)
    aside = tuple(data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1)))
    kept = without_lines(value, aside).split(b"\n")
    assert kept == [b"" if n in aside else line for n, line in enumerate(lines)]
    assert only_lines(value, aside).split(b"\n") == [lines[n] for n in aside]


def test_an_empty_list_of_lines_means_all() -> None:
    assert without_lines(b"a\nb", ()) == b""
    assert only_lines(b"a\nb", ()) == b"a\nb"


def test_attempts_keep_the_keys_that_earlier_versions_read():
    attempt = Attempt(
        id="a", resume_after=4, single_offset=6, suspect_offset=5, suspect_deaths=2, deaths=1
    )
    assert msgspec.to_builtins(attempt) == {
        "id": "a", "resume_after": 4, "entering": 6, "blamed": 5, "blames": 2, "deaths": 1
    }  # fmt: skip
