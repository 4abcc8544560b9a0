"""Rules of a restarted worker count what was there before it, on a real broker."""

from tests.streams.alerting.rules.rule_book import rule
from tests.streams.alerting.test_rules_on_the_log import WORKER, counted, until_rows


async def test_a_restarted_worker_counts_what_was_there_before_although_stage_1_is_behind(
    pipeline, until, tmp_path
) -> None:
    """Until a delta comes, it is not known to which time events are processed."""
    await pipeline.control.put(
        rule(metric="count", threshold="35", comparison=">=", window_s=3_600)
    )
    pipeline.start_worker(WORKER)
    for offset in range(3):
        await pipeline.send(counted(offset, count=10))

    await until_rows(pipeline, until, lambda rows: [row["incomplete"] for row in rows] == [0])
    pipeline.kill_workers()
    await pipeline.producer.send_and_wait(pipeline.kafka.topics.events, b"waits", partition=0)
    log = tmp_path / "log"
    with log.open("wb") as file:
        pipeline.start_worker(WORKER, log=file, WAITS_FOR_EVENTS="1")

    async def has_begun() -> bool:
        return b"rules_wait_for_events" in log.read_bytes()

    await until(has_begun)
    await pipeline.send(counted(3, count=10))

    async def has_fired() -> bool:
        return len(await pipeline.alerts()) == 1

    await until(has_fired)
