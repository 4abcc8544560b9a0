"""Updates without a trace id join their observation, through Kafka, workers, the sink and kills."""

from __future__ import annotations

from typing import Any

from producers.control.kinds.project import Project
from producers.unplaced_events import encode_unplaced
from tracemill.clock import now_us
from tracemill.contract import Event, Observation, Score, encode_event
from tracemill.partitioning import partition_key, partition_of

MODULE = "tests.streams.placement.streams_process"


async def send(pipeline: Any, event: Event) -> None:
    kafka = pipeline.kafka
    number = partition_of(event.project_id, partition_key(event), kafka.event_partitions)
    await pipeline.producer.send_and_wait(
        kafka.topics.events, encode_event(event), partition=number
    )


async def send_unplaced(pipeline: Any, *events: Event) -> None:
    value = b"\n".join(encode_unplaced(event) for event in events)
    await pipeline.producer.send_and_wait(
        pipeline.kafka.topics.unplaced_updates, value, partition=0
    )


def create(observation_id: str, trace_id: str, project_id: str = "p") -> Observation:
    at_us = now_us()
    return Observation(
        project_id=project_id, trace_id=trace_id, id=observation_id, ts_us=at_us, partial=True,
        type="GENERATION", name="call", model="gpt-4o-mini", start_us=at_us,
    )  # fmt: skip


def update(observation_id: str, project_id: str = "p") -> Observation:
    at_us = now_us()
    return Observation(
        project_id=project_id, trace_id=observation_id, id=observation_id, ts_us=at_us,
        partial=True, output="done", end_us=at_us, usage={"input": 1_000, "output": 100},
    )  # fmt: skip


async def test_updates_join_their_observation_before_and_after_it_and_over_kills(pipeline, until):
    await send(pipeline, create("early", "t-early"))
    pipeline.start_worker(MODULE)

    async def is_stored() -> bool:
        return bool(await pipeline.rows("SELECT 1 FROM observations WHERE id = 'early'"))

    await until(is_stored)
    score = Score(
        project_id="p", id="s", ts_us=now_us(), name="helpful", data_type="NUMERIC", value=1.0,
        trace_id="early", observation_id="early",
    )  # fmt: skip
    child = create("child", "child")
    child.parent_id = "early"
    await send_unplaced(pipeline, update("early"), score, child, update("late"))

    async def joined() -> bool:
        rows = await pipeline.rows(
            "SELECT id, trace_id, output FROM observations FINAL ORDER BY id"
        )
        scores = await pipeline.rows("SELECT trace_id FROM scores FINAL")
        return [(row["id"], row["trace_id"], row["output"]) for row in rows] == [
            ("child", "t-early", ""),
            ("early", "t-early", "done"),
        ] and scores == [{"trace_id": "t-early"}]

    await until(joined)
    pipeline.kill_workers()
    await send(pipeline, create("late", "t-late"))
    pipeline.start_worker(MODULE)

    async def is_late_joined() -> bool:
        rows = await pipeline.rows("SELECT id, trace_id, output, usage FROM observations FINAL")
        (row,) = [row for row in rows if row["id"] == "late"] or [None]
        return row is not None and row["trace_id"] == "t-late" and row["output"] == "done"

    await until(is_late_joined)
    traces = await pipeline.rows("SELECT id FROM traces FINAL ORDER BY id")
    assert [row["id"] for row in traces] == ["t-early", "t-late"]


async def test_an_update_of_nothing_is_of_a_trace_of_its_own_after_the_deadline(pipeline, until):
    await pipeline.control.put(
        Project(id="gone", name="gone", created_us=now_us(), state="deleting")
    )
    await send_unplaced(pipeline, update("lost"), update("of-a-deleted-project", "gone"))
    pipeline.start_worker(
        MODULE, TRACEMILL_PLACEMENT_WAIT_MAX_S="1", TRACEMILL_PLACEMENT_LOOKUP_PAUSE_MAX_S="0.5"
    )

    async def is_placed() -> bool:
        rows = await pipeline.rows("SELECT id, trace_id FROM observations FINAL")
        return [(row["id"], row["trace_id"]) for row in rows] == [("lost", "lost")]

    await until(is_placed)
    later = update("lost")
    later.output = "again"
    await send_unplaced(pipeline, later)

    async def is_updated() -> bool:
        rows = await pipeline.rows("SELECT trace_id, output FROM observations FINAL")
        return rows == [{"trace_id": "lost", "output": "again"}]

    await until(is_updated)


async def test_a_line_that_is_no_event_is_a_dead_letter(pipeline, until):
    await pipeline.producer.send_and_wait(
        pipeline.kafka.topics.unplaced_updates, b"nonsense\n{}", partition=0
    )
    pipeline.start_worker(MODULE)

    async def letters() -> list[dict]:
        rows = await pipeline.rows("SELECT payload FROM dead_letters ORDER BY payload")
        return [row["payload"] for row in rows] == ["nonsense", "{}"]

    await until(letters)
