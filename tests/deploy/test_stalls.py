"""What counts as a stall, in values: no process hangs here."""

from __future__ import annotations

import asyncio
import json

import pytest

from deploy.liveness import MISSED_PROBES_MIN, PROBE_INTERVAL_S, Health, ResponseMonitor, stalls_in
from deploy.stalls import LoopHeartbeat, StallDetector
from producers.progress import PartitionProgress

TOPIC = "tracemill.events"


class Watched:
    """A stage of one partition, looked at once a second."""

    def __init__(self) -> None:
        self.work = PartitionProgress("streams", TOPIC, 1, 5, has_input=True)
        self.heartbeat = LoopHeartbeat(5)
        self.detector = StallDetector(
            lambda: [self.work], self.heartbeat, stalled_after_s=30, blocked_after_s=5
        )
        self.now_s = self.heartbeat.at_s

    def after(self, seconds: int, work: PartitionProgress, *, beats: bool = True) -> list[str]:
        self.work = work
        for _ in range(seconds):
            self.now_s += 1
            if beats:
                self.heartbeat.at_s = self.now_s
            self.detector.check(self.now_s)
        return self.detector.stalls


def work(
    offset: int = 5, *, has_input: bool = True, waits_for: str = "", steps: int = 0
) -> PartitionProgress:
    return PartitionProgress("streams", TOPIC, 1, offset, has_input, waits_for, steps)


def test_input_without_progress_is_a_stall_that_names_partition_and_offset() -> None:
    stage = Watched()
    assert stage.after(31, work()) == []
    assert stage.after(1, work()) == [
        f"streams: partition 1 of {TOPIC} has made no progress for 31 s at offset 5"
    ]
    assert stage.after(1, work(6)) == []


@pytest.mark.parametrize(
    "excused", [work(has_input=False), work(waits_for="the store"), work(waits_for="the broker")]
)
def test_nothing_to_do_and_waiting_for_a_dependency_are_no_stalls(
    excused: PartitionProgress,
) -> None:
    stage = Watched()
    stage.after(25, work())
    assert stage.after(100, excused) == []
    assert stage.after(30, work()) == [], "it has its whole time again"
    assert stage.after(2, work()) != []


def test_attempts_that_end_are_progress() -> None:
    stage = Watched()
    for step in range(20):
        assert stage.after(20, work(steps=step)) == []


def test_a_blocked_event_loop_is_a_stall_that_names_what_it_worked_on() -> None:
    stage = Watched()
    stage.after(1, work())
    assert stage.after(30, work(), beats=False) == []
    (stall,) = stage.after(1, work(), beats=False)
    assert stall == (
        "the event loop has been blocked for 31 s while it worked on"
        f" offset 5 of partition 1 of {TOPIC}"
    )
    assert stage.after(1, work(6)) == []


def test_a_process_that_was_stopped_or_slept_begins_anew() -> None:
    stage = Watched()
    stage.after(29, work())
    stage.now_s += 3_600
    assert stage.after(29, work(), beats=False) == []
    stage = Watched()
    stage.after(29, work(), beats=False)
    stage.now_s += 3_600
    assert stage.after(29, work(), beats=False) == []


def failure_after_silence(*, of_s: float, every_s: float = PROBE_INTERVAL_S) -> str | None:
    monitor, now_s, found = ResponseMonitor(30), 0.0, None
    monitor.failure(Health(True), now_s)
    while now_s < of_s:
        now_s += every_s
        found = monitor.failure(Health(False), now_s)
    return found


def test_silence_counts_for_as_long_as_the_one_who_asks_was_awake() -> None:
    assert failure_after_silence(of_s=28) is None
    assert failure_after_silence(of_s=34) == "has not responded for 32 s"
    assert failure_after_silence(of_s=3_600, every_s=60) is None, "a laptop that wakes now and then"


def test_one_answer_ends_the_silence() -> None:
    monitor = ResponseMonitor(30)
    for now_s in range(0, 300, 2):
        assert monitor.failure(Health(now_s % 20 == 0), now_s) is None


def test_few_probes_are_no_evidence_however_long_they_took() -> None:
    monitor = ResponseMonitor(1)
    monitor.failure(Health(True), 0)
    found = [monitor.failure(Health(False), 7.0 * number) for number in range(1, 6)]
    assert [line is None for line in found] == [True] * (MISSED_PROBES_MIN - 1) + [False, False]


def test_what_a_process_says_of_itself_counts_at_once_unless_both_were_stopped() -> None:
    monitor = ResponseMonitor(30)
    stalled = Health(True, ("a", "b"))
    assert monitor.failure(stalled, 0) == "a; b"
    assert monitor.failure(stalled, 600) is None
    assert monitor.failure(stalled, 602) == "a; b"


def test_a_full_server_is_not_a_stalled_one() -> None:
    said = json.dumps({"status": "stalled", "stalls": ["x"]}).encode()
    assert stalls_in(503, said) == ("x",)
    for status, body in ((503, b""), (503, b"too many"), (503, b"[]"), (200, said), (503, b"{}")):
        assert stalls_in(status, body) == ()


async def test_a_loop_that_runs_beats() -> None:
    heartbeat = LoopHeartbeat(60)
    begun_s = heartbeat.at_s
    async with heartbeat.running(), asyncio.timeout(30):
        while heartbeat.at_s == begun_s:  # noqa: ASYNC110  (a task that nobody else waits for)
            await asyncio.sleep(0.01)
