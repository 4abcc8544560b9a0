"""Ages of records are estimated from offsets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from query_api.health.partition_progress import SAMPLES_MAX, PartitionProgress

NAME = "partition 1 of tracemill.events"


def test_a_partition_is_proven_when_a_later_record_was_processed():
    progress = PartitionProgress()
    progress.observe(end=10, reached=10, now_s=0)
    assert progress.fault(NAME, 5, 0) == f"{NAME} has not made progress yet"
    progress.observe(end=11, reached=10, now_s=1)
    assert progress.fault(NAME, 5, 1) == f"{NAME} has not made progress yet"
    progress.observe(end=11, reached=11, now_s=2)
    assert progress.fault(NAME, 5, 100) is None


def test_a_stall_reports_its_duration_and_the_age_of_the_oldest_record():
    progress = PartitionProgress()
    progress.observe(end=10, reached=10, now_s=0)
    progress.observe(end=11, reached=11, now_s=1)
    progress.observe(end=12, reached=11, now_s=3)
    progress.observe(end=20, reached=11, now_s=4)
    assert progress.fault(NAME, 5, 8) is None
    assert progress.fault(NAME, 5, 9) == (
        f"{NAME} has made no progress for 8 s (oldest unprocessed record is 6 s old)"
    )


def test_a_partition_that_progresses_too_slowly_is_behind():
    progress = PartitionProgress()
    for second in range(30):
        progress.observe(end=100 + 10 * second, reached=100 + second, now_s=second)
    assert progress.fault(NAME, 5, 29) == (
        f"{NAME} is behind (oldest unprocessed record is 26 s old)"
    )


def test_an_existing_backlog_counts_from_its_first_observation_and_must_be_processed():
    progress = PartitionProgress()
    progress.observe(end=1_000, reached=0, now_s=0)
    progress.observe(end=1_000, reached=999, now_s=1)
    assert progress.fault(NAME, 5, 1) is not None
    progress.observe(end=1_001, reached=1_001, now_s=2)
    assert progress.fault(NAME, 5, 2) is None


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0.1, 3)), min_size=1, max_size=60
    )
)
def test_an_age_is_at_most_the_true_one_and_less_by_at_most_one_check(
    steps: list[tuple[int, int, float]],
) -> None:
    """The truth: each record was written at some moment after the look before."""
    progress, end, reached, now_s = PartitionProgress(), 0, 0, 0.0
    progress.observe(0, 0, 0.0)
    seen_at_s: dict[int, float] = {}
    for written, processed, pause_s in steps:
        now_s += pause_s
        for offset in range(end, end + written):
            seen_at_s[offset] = now_s
        end += written
        reached = min(end, reached + processed)
        progress.observe(end, reached, now_s)
        assert progress.age_s(now_s) == (now_s - seen_at_s[reached] if reached < end else 0.0)


def test_memory_for_a_log_without_consumers_is_bounded():
    progress = PartitionProgress()
    for second in range(3 * SAMPLES_MAX):
        progress.observe(end=second, reached=0, now_s=second)
    assert len(progress._ends) == SAMPLES_MAX
    assert progress.age_s(3 * SAMPLES_MAX) == 3 * SAMPLES_MAX - 1
