"""Events before the watermark have passed every stage."""

from __future__ import annotations

from random import Random

import pytest

from query_api.health.watermark import PENDING_MAX, Watermark

STAGES = [["e0", "e1"], ["d0"], ["w0", "s0"]]


class Pipeline:
    """Three stages, in which each record of one becomes a record of the next."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.logs: dict[str, list[int]] = {name: [] for stage in STAGES for name in stage}
        self.reached = dict.fromkeys(self.logs, 0)
        self.now_us = 0

    def tick(self) -> None:
        self.now_us += 1
        if self.random.random() < 0.6:
            self.logs[self.random.choice(STAGES[0])].append(self.now_us)
        for at, stage in enumerate(STAGES):
            for name in stage:
                behind = len(self.logs[name]) - self.reached[name]
                for _ in range(self.random.randint(0, behind) if self.random.random() < 0.5 else 0):
                    event = self.logs[name][self.reached[name]]
                    if at + 1 < len(STAGES):
                        self.logs[self.random.choice(STAGES[at + 1])].append(event)
                    self.reached[name] += 1

    def unstored(self) -> list[int]:
        return [event for name, log in self.logs.items() for event in log[self.reached[name] :]]


@pytest.mark.parametrize("seed", range(20))
def test_no_event_before_the_watermark_is_missing(seed: int) -> None:
    pipeline, watermark = Pipeline(Random(seed)), Watermark(STAGES)
    advanced = 0
    for _ in range(400):
        pipeline.tick()
        if pipeline.random.random() < 0.5:
            continue
        reached, at_us = dict(pipeline.reached), pipeline.now_us + 1
        before = watermark.stored_until_us
        pipeline.tick()  # between the two reads
        ends = {name: len(log) for name, log in pipeline.logs.items()}
        watermark.observe(at_us, ends, reached)
        stored_us = watermark.stored_until_us
        if stored_us is not None:
            assert all(event >= stored_us for event in pipeline.unstored())
            assert before is None or before <= stored_us
            advanced += before != stored_us
    assert advanced > 10


def test_an_idle_pipeline_is_complete_up_to_the_last_check() -> None:
    watermark = Watermark(STAGES)
    assert watermark.stored_until_us is None
    none = {name: 0 for stage in STAGES for name in stage}
    watermark.observe(5, none, none)
    assert watermark.stored_until_us == 5


def test_times_that_wait_are_limited_and_the_watermark_catches_up() -> None:
    watermark = Watermark([["e"]])
    for at in range(10 * PENDING_MAX):
        watermark.observe(at, {"e": at + 1}, {"e": 0})
    assert watermark.stored_until_us is None
    watermark.observe(9_999, {"e": 9_999}, {"e": 700})
    assert 0 <= watermark.stored_until_us <= 699
    watermark.observe(10_000, {"e": 9_999}, {"e": 9_999})
    assert watermark.stored_until_us == 10_000
