"""On a real broker, poison is set aside alone and a failed partition restarts alone."""

import json
import time

import msgspec

from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta, partition_of_project
from streams.core.rollups.sketch import key_of

NOW_S = int(time.time())
MINUTE_S, BUCKET_S = NOW_S // 60 * 60, NOW_S // 900 * 900
DEAD_LETTERS = """
SELECT project_id, id, reason, detail, source_topic, source_partition, source_offset, payload
FROM dead_letters FINAL WHERE stage = 'projects' ORDER BY source_partition, source_offset, id
"""
SPENT = """
SELECT project_id, toInt64(sum(total_cost) * 1000000000000) AS pico FROM spend FINAL
GROUP BY project_id ORDER BY project_id
"""
COUNTED = "SELECT sum(observation_count) AS n FROM windows FINAL"


def delta(offset, cost_pico, *, project="p1", source=0):
    window = WindowDelta(
        MINUTE_S, "default", "m1", "chat", 1, 0, cost_pico, {"input": 7}, {key_of(5e5): 1}
    )
    spend = SpendDelta(BUCKET_S, "u1", "m1", "default", cost_pico, f"t{offset}")
    return Delta(project, source, offset, [window], [spend])


def spent(pipeline, **expected):
    async def is_so():
        rows = await pipeline.rows(SPENT)
        return {row["project_id"]: row["pico"] for row in rows} == expected

    return is_so


POISON = [
    b"[" * 20_000,
    b"\xff\xfe\x00",
    b"null",
    b"{}",
    b'["p1"]',
    json.dumps(["p1", -1, 5, [], []]).encode(),
    json.dumps(["p1", 0, 2**70, [], []]).encode(),
    json.dumps(["p1", 0, 5, [[2**40, "e", "m", "n", 1, 0, 1, {}, {}]], []]).encode(),
    json.dumps(["p1", 0, 5, [[60, "e", "m", "n", 10**300, 0, 1, {}, {}]], []]).encode(),
    json.dumps(["p1", 0, 5, [[60, "e", "m", "n", 1, 0, 1, {}, {"5": 10**400}]], []]).encode(),
    json.dumps(["p1", 0, 5, [], [[-1, "u", "m", "e", 1, "t"]]]).encode(),
    json.dumps(["p1", 0, 5, [], [[900, "u", "m", "e", 1.5, "t"]]]).encode(),
    b'["p1",0,5,[[60,"e","\\ud800","n",1,0,1,{},{}]],[]]',
]


async def test_poison_among_deltas_is_set_aside_alone(pipeline, until):
    topic, partitions = pipeline.kafka.topics.deltas, pipeline.kafka.project_partitions
    partition = partition_of_project("p1", partitions)

    async def send(*lines):
        await pipeline.producer.send_and_wait(topic, b"\n".join(lines), partition=partition)

    encode = msgspec.json.encode
    pipeline.start_worker()
    await pipeline.put_budget()
    for number, line in enumerate(POISON):
        await send(line)
        await send(encode(delta(10 + 2 * number, 10)), line, encode(delta(11 + 2 * number, 20)))
    await pipeline.send(delta(0, 5, project="p2"))
    total = 30 * len(POISON)
    await until(spent(pipeline, p1=total, p2=5))

    async def all_set_aside():
        rows = await pipeline.rows(DEAD_LETTERS)
        return rows if len(rows) == len(POISON) else None

    rows = await until(all_set_aside)
    assert {row["reason"] for row in rows} == {"processing_failed"}
    assert {row["source_topic"] for row in rows} == {topic}
    assert {row["source_partition"] for row in rows} == {partition}
    assert all(row["source_offset"] >= 0 for row in rows)
    assert sum(row["project_id"] == "p1" for row in rows) >= 7
    assert {row["payload"] for row in rows} == {line.decode(errors="replace") for line in POISON}
    pipeline.kill_workers()

    pipeline.start_worker()
    for line in POISON:
        await send(line)
    await send(encode(delta(1_000, 1_000)))
    await until(spent(pipeline, p1=total + 1_000, p2=5))
    assert len(await pipeline.rows(DEAD_LETTERS)) == len(POISON)


async def test_a_partition_that_fails_begins_again_by_itself_and_exactly(pipeline, until):
    worker = pipeline.start_worker(
        "tests.streams.failing_process",
        TRACEMILL_PROJECTS_RESTART_PAUSE_S="0.05",
        TRACEMILL_PROJECTS_FLUSH_INTERVAL_S="0.05",
    )
    total = 0
    for offset in range(60):
        await pipeline.send(delta(offset, offset), delta(offset, 1, project="p2"))
        total += offset
    await until(spent(pipeline, p1=total, p2=60))

    async def all_counted():
        return await pipeline.rows(COUNTED) == [{"n": 120}]

    await until(all_counted)
    assert worker.poll() is None, "the worker lives on"


async def test_a_stage_that_rejects_most_of_its_input_stops_with_a_reason(pipeline, until):
    topic = pipeline.kafka.topics.deltas
    partition = partition_of_project("p1", pipeline.kafka.project_partitions)
    pipeline.start_worker(
        TRACEMILL_PROJECTS_DEAD_LETTERS_CONSECUTIVE_MAX="20",
        TRACEMILL_PROJECTS_RESTART_PAUSE_S="600",
        TRACEMILL_PROJECTS_RESTART_PAUSE_MAX_S="600",
    )
    for number in range(200):
        await pipeline.producer.send_and_wait(topic, b"poison %d" % number, partition=partition)
    other = next(
        f"p{n}"
        for n in range(100)
        if partition_of_project(f"p{n}", pipeline.kafka.project_partitions) != partition
    )
    await pipeline.send(delta(0, 5, project=other))
    await until(spent(pipeline, **{other: 5}))
    assert 0 <= len(await pipeline.rows(DEAD_LETTERS)) <= 21


async def test_with_an_unreadable_checkpoint_reading_resumes_from_an_earlier_one(pipeline, until):
    kafka = pipeline.kafka
    partition = partition_of_project("p1", kafka.project_partitions)
    pipeline.start_worker()
    await pipeline.send(delta(0, 10), delta(1, 20))
    await until(spent(pipeline, p1=30))
    pipeline.kill_workers()
    for headers in ([], [("input_offset", b"99"), ("applied", b"["), ("horizons", b"\xff")]):
        await pipeline.producer.send_and_wait(
            kafka.topics.windows, b"[" * 5_000, partition=partition, headers=headers
        )
    await pipeline.producer.send_and_wait(kafka.topics.spend, b"\xff", partition=partition)
    pipeline.start_worker()
    await pipeline.send(delta(1, 20), delta(2, 3))
    await until(spent(pipeline, p1=33))
