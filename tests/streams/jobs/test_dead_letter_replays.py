"""The events of dead letters are sent to their topic again, and those of nobody else."""

from __future__ import annotations

from typing import Any

import msgspec

from clickhouse.rows import DeadLetterRow
from producers.control.kinds.dead_letter_replay import DeadLetterReplay
from producers.settings import WebhookSettings
from streams.core.jobs.state import Failed, Succeeded
from streams.jobs.kind import JobContext
from streams.jobs.kinds.dead_letter_replay import DeadLetterReplays, DeadLetterReplaySettings
from tracemill.clock import now_us

EVENT = '{"kind":"observation","project_id":"p1","id":"o"}'


def letter(pipeline: Any, letter_id: str, **fields: Any) -> DeadLetterRow:
    given = {
        "project_id": "p1", "id": letter_id, "created_us": now_us(), "stage": "observations",
        "reason": "processing_failed", "source_topic": pipeline.kafka.topics.events,
        "source_partition": 0, "payload": EVENT,
    }  # fmt: skip
    return DeadLetterRow(**(given | fields))


async def test_events_are_sent_again_and_the_request_is_done(pipeline: Any, until: Any) -> None:
    letters = [
        letter(pipeline, "whole"),
        letter(pipeline, "theirs", project_id="p2"),
        letter(pipeline, "of-another", payload=EVENT.replace("p1", "p2")),
        letter(pipeline, "request", stage="gateway"),
        letter(pipeline, "elsewhere", source_topic="another.events"),
    ]
    for each in letters:
        value = msgspec.json.encode(each)
        topic = pipeline.kafka.topics.dead_letters
        await pipeline.producer.send_and_wait(topic, value, partition=0)

    async def stored() -> bool:
        (row,) = await pipeline.rows("SELECT count() AS count FROM dead_letters FINAL")
        return bool(row["count"] == len(letters))

    await until(stored)
    request = DeadLetterReplay(
        id="rpl_1", project_id="p1", dead_letter_ids=tuple(each.id for each in letters),
        created_us=now_us(),
    )  # fmt: skip
    await pipeline.control.create(request)
    context = JobContext(
        pipeline.kafka, pipeline.control, WebhookSettings(), DeadLetterReplaySettings(),
        store=pipeline.store,
    )  # fmt: skip
    jobs = DeadLetterReplays(context)
    try:
        (job,) = jobs.jobs_of_change(request)
        assert job.id == request.id
        for _ in range(2):  # an attempt that is repeated after a crash
            assert isinstance(await jobs.attempt(job), Succeeded)
        done = pipeline.control.view[DeadLetterReplay]["rpl_1"]
        assert (done.state, done.sent) == ("done", 1)
        assert done.ended_us >= request.created_us
        assert list(jobs.jobs_of_change(done)) == []
        assert await pipeline.values_of(pipeline.kafka.topics.events) == [EVENT.encode()] * 2
        await pipeline.store.command("RENAME TABLE dead_letters TO elsewhere")
        assert isinstance(await jobs.attempt(job), Failed)
    finally:
        await jobs.close()
