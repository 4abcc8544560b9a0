"""A burst of one flow delays no other flow of its target, and urgent jobs precede the others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.jobs.due_jobs import DueJobs
from streams.core.jobs.queue import JobQueue


def started(queue: JobQueue, count: int) -> list[str]:
    """Return the next jobs, each of which ends at once."""
    order: list[str] = []
    while len(order) < count:
        [(job_id, target)] = queue.start(9)
        order.append(job_id)
        queue.done(job_id, target)
    return order


def test_a_burst_of_one_flow_delays_another_by_one_turn() -> None:
    queue = JobQueue(per_target_max=1, running_max=1)
    for number in range(10_000):
        queue.put(f"burst{number:04}", "t", 0, flow="burst")
    assert started(queue, 2) == ["burst0000", "burst0001"]
    queue.put("other0", "t", 1, flow="other")
    queue.put("other1", "t", 1, flow="other")
    assert started(queue, 4) == ["burst0002", "other0", "burst0003", "other1"]


def test_urgent_jobs_precede_bursts_of_many_flows_which_still_get_turns() -> None:
    queue = JobQueue(per_target_max=1, running_max=1)
    for number in range(1_000):
        queue.put(f"other{number:03}", "t", 0, flow=str(number))
    for number in range(5):
        queue.put(f"urgent{number}", "t", 0, flow="urgent", is_urgent=True)
    assert started(queue, 7) == [
        "urgent0", "urgent1", "urgent2", "other000", "urgent3", "urgent4", "other001",
    ]  # fmt: skip


def test_what_waited_for_a_target_that_recovers_is_served_by_flow() -> None:
    queue = JobQueue(per_target_max=1, running_max=1)
    for number in range(100):
        queue.put(f"burst{number}", "t", 1_000, is_retry=True, flow="burst")
    queue.put("critical", "t", 1_000, is_retry=True, flow="rule", is_urgent=True)
    for job_id in sorted(queue.retries_of("t")):
        queue.make_due(job_id, "t")
    assert started(queue, 1) == ["critical"]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), max_size=60))
def test_every_job_is_taken_once_and_in_the_order_of_its_flow(
    steps: list[tuple[int, bool, bool]],
) -> None:
    due, taken = DueJobs(), []
    for number, (flow, is_urgent, takes) in enumerate(steps):
        due.put(f"{flow}/{is_urgent}/{number:02}", f"{flow}", is_urgent=is_urgent)
        if takes:
            taken.append(due.take())
    while due:
        taken.append(due.take())
    assert len(set(taken)) == len(taken) == len(steps)
    by_flow: dict[str, list[str]] = {}
    for job_id in taken:
        by_flow.setdefault(job_id[:-2], []).append(job_id)
    assert all(jobs == sorted(jobs) for jobs in by_flow.values())
