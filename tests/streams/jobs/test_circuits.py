"""A target that fails gets one probe at a time; its success makes everything due."""

from __future__ import annotations

from streams.core.jobs.book import Job, JobBook
from streams.core.jobs.circuits import Circuits
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import Dropped, Failed, JobState, Outcome, Postponed, Succeeded

SECOND_US = 1_000_000
HOUR_S = 3_600
DOWN = Failed("down")
SKIPPED = Failed("not attempted", by_target=False)


def book_of(
    *, failures_max: int = 3, schedule_s: tuple[float, ...] = (HOUR_S,) * 9
) -> JobBook[Job]:
    return JobBook(
        JobQueue(per_target_max=4, running_max=100),
        schedule_s,
        age_max_us=10**15,
        memory_us=10**15,
        circuits=Circuits(
            failures_max=failures_max, pause_us=10 * SECOND_US, pause_max_us=40 * SECOND_US
        ),
    )


def jobs(count: int, target: str = "t", **fields: str) -> list[Job]:
    return [Job(f"{target}{number}", target, "p", number, **fields) for number in range(count)]


def step(book: JobBook[Job], now_s: float, outcome: Outcome) -> list[tuple[str, bool]]:
    """Attempt everything that is due, with one outcome; return jobs and whether they contacted."""
    now_us = int(now_s * SECOND_US)
    began = list(book.start(now_us))
    for job, may_contact in began:
        result = outcome if may_contact else SKIPPED
        book.update_circuit(job, result, now_us)
        book.finish(job, book.after(job, result, now_us, 0))
    return [(job.id, may_contact) for job, may_contact in began]


def test_after_failures_in_a_row_only_probes_contact_a_target_until_one_succeeds() -> None:
    book = book_of()
    book.add(jobs(3), 0)
    assert [contacted for _, contacted in step(book, 0, DOWN)] == [True] * 3
    assert book.circuits.open == 1
    book.add([Job("new", "t", "p", 5)], 0)
    assert step(book, 1, DOWN) == [("new", False)]
    assert step(book, 9, DOWN) == []
    [(probe, contacted)] = step(book, 10, DOWN)
    assert contacted
    state = book.state_of(Job(probe, "t", "p", 0))
    assert (state.attempts, state.next_attempt_us) == (1, HOUR_S * SECOND_US)
    assert book.next_us() == 30 * SECOND_US, "the pause doubles"
    assert step(book, 29, DOWN) == []
    assert len(step(book, 30, DOWN)) == 1
    assert book.next_us() == 70 * SECOND_US, "the pause has a limit"
    assert len(step(book, 70, Succeeded())) == 1
    assert book.circuits.open == 0
    assert [contacted for _, contacted in step(book, 71, Succeeded())] == [True] * 3
    assert len(book.queue) == 0


def test_failed_probes_are_told_from_failures_that_are_new() -> None:
    book = book_of()
    book.add(jobs(4), 0)
    for job, _ in book.start(0):
        assert not book.circuits.is_probed_by(job.target, job.id)
        book.update_circuit(job, DOWN, 0)
        book.finish(job, book.after(job, DOWN, 0, 0))
    [(probe, _)] = book.start(10 * SECOND_US)
    assert book.circuits.is_probed_by(probe.target, probe.id)
    assert not book.circuits.is_probed_by(probe.target, "another")


def test_other_targets_are_not_affected() -> None:
    book = book_of()
    book.add(jobs(4, "dead"), 0)
    step(book, 0, DOWN)
    book.add(jobs(4, "alive"), 0)
    assert step(book, 1, Succeeded()) == [(f"alive{number}", True) for number in range(4)]


def test_what_the_target_did_not_cause_does_not_open_its_circuit() -> None:
    book = book_of(failures_max=1)
    book.add(jobs(2), 0)
    step(book, 0, Failed("unsupported", by_target=False))
    assert book.circuits.open == 0


def test_after_a_restart_a_target_with_failed_jobs_is_probed_at_once() -> None:
    book = book_of()
    for job in jobs(3):
        book.load_state(job.id, JobState(attempts=1, next_attempt_us=HOUR_S * SECOND_US))
    book.add(jobs(3), 0)
    assert len(step(book, 0, Succeeded())) == 1
    assert len(step(book, 0, Succeeded())) == 2


def test_a_probe_whose_job_is_dropped_leaves_the_next_probe_to_another() -> None:
    book = book_of(failures_max=1)
    book.add(jobs(2), 0)
    step(book, 0, DOWN)
    assert len(step(book, 10, Dropped("deleted"))) == 1
    assert len(step(book, 10, Succeeded())) == 1
    assert len(book.queue) == 0


def test_a_target_without_jobs_has_no_circuit_after_a_sweep() -> None:
    book = book_of(failures_max=1, schedule_s=())
    book.add(jobs(1), 0)
    step(book, 0, DOWN)
    assert book.circuits.open == 1
    book.sweep(SECOND_US)
    assert book.circuits.open == 0
    assert book.next_us() is None


def test_jobs_of_a_sequence_wait_for_earlier_ones_and_no_others_do() -> None:
    book = book_of(failures_max=0)
    book.add([*jobs(3, order_key="episode"), Job("free", "t", "p", 9)], 0)
    assert {job for job, _ in step(book, 0, DOWN)} == {"t0", "free"}
    assert step(book, 1, Succeeded()) == []
    order = [step(book, HOUR_S + number, Succeeded()) for number in range(3)]
    assert {job for job, _ in order[0]} == {"t0", "free"}
    assert order[1:] == [[("t1", True)], [("t2", True)]]


def test_an_earlier_job_that_is_added_later_goes_first() -> None:
    book = book_of()
    first, second = jobs(2, order_key="episode")
    book.add([second], 0)
    book.add([first], 0)
    assert step(book, 0, Succeeded()) == [("t0", True)]
    assert step(book, 0, Succeeded()) == [("t1", True)]


def test_a_postponed_job_counts_no_attempt() -> None:
    book = book_of()
    book.add([Job("t0", "t", "p", 0, due_us=5 * SECOND_US)], 0)
    assert step(book, 4, Succeeded()) == []
    assert step(book, 5, Postponed("later", 7 * SECOND_US)) == [("t0", True)]
    assert step(book, 6, Succeeded()) == []
    assert step(book, 7, Succeeded()) == [("t0", True)]
