"""A receiver that was down gets everything once and in order; others notice nothing."""

from __future__ import annotations

import json
import statistics

from tests.bench.receivers import outage
from tests.streams.project_pipeline import Pipeline

FAST = {
    "TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S": json.dumps([0.5, 60, 60, 60, 60]),
    "TRACEMILL_NOTIFIER_CIRCUIT_PAUSE_S": "0.3",
    "TRACEMILL_NOTIFIER_CIRCUIT_PAUSE_MAX_S": "1",
}


async def test_a_receiver_that_was_down_gets_everything_once_and_in_order(
    pipeline: Pipeline,
) -> None:
    found = await outage(pipeline, down_s=6, within_s=120, **FAST)
    assert found.faults() == []
    assert found.recovered_s < 50, "a probe finds that it is up, before the next attempt is due"
    assert statistics.median(found.latencies_s) < 5
