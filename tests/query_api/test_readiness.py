import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from producers.control.keys import new_api_key
from producers.control.log import ControlLog
from producers.control.records import Project
from producers.kafka import client_options
from producers.settings import KafkaSettings
from query_api.readiness import (
    GroupProbe,
    Readiness,
    ReadinessCheck,
    broker_probe,
    keys_probe,
    readiness_checks,
    store_probe,
)
from query_api.settings import QuerySettings
from query_api.times import SECOND_US, now_us
from tests.query_api.harness import Api, ControlInMemory, make_api, observation, trace

WITHIN_S = 60.0
TIERING = TieringSettings(hot_days=7)


async def test_ready_says_which_dependency_is_missing(api: Api) -> None:
    answer = await api.anonymous.get("/api/public/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "OK", "checks": {"store": "ok"}, "missing": []},
    )
    api.missing["store"] = "not migrated"
    answer = await api.client.get("/api/public/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {
        "status": "NOT_READY", "checks": {"store": "not migrated"}, "missing": ["store"],
    }  # fmt: skip


async def test_strangers_are_told_names_and_never_addresses(api: Api) -> None:
    api.missing["store"] = "the store at 10.1.2.3 does not answer"
    for credential in (None, ("pk-acme", "wrong"), ("pk-nobody", "sk-acme")):
        answer = await api.anonymous.get("/api/public/ready", auth=credential)
        assert answer.status_code == 503
        assert answer.json() == {
            "status": "NOT_READY", "checks": {"store": "not ready"}, "missing": ["store"],
        }  # fmt: skip


async def test_health_needs_nothing(api: Api) -> None:
    answer = await api.anonymous.get("/api/public/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "OK")
    assert answer.json()["version"].count(".") == 2


async def test_health_may_depend_on_the_store_and_on_recent_events(api: Api) -> None:
    async def asked(client: httpx.AsyncClient, **params: str) -> tuple[int, str]:
        answer = await client.get("/api/public/health", params=params)
        return answer.status_code, answer.json()["status"]

    stale = (503, "No traces or observations within the last 3 minutes")
    assert await asked(api.anonymous, failIfDatabaseUnavailable="true") == (200, "OK")
    assert await asked(api.anonymous, failIfNoRecentEvents="true") == stale
    await api.insert(trace("old", now_us() - 600 * SECOND_US))
    assert await asked(api.anonymous, failIfNoRecentEvents="true") == stale
    await api.insert(observation("t", "o", now_us() - 60 * SECOND_US))
    assert await asked(api.anonymous, failIfNoRecentEvents="true") == (200, "OK")
    absent = Store(StoreSettings(clickhouse_url="http://127.0.0.1:1"))
    broken, clients = make_api(absent)
    gone = (503, "Database not available")
    assert await asked(broken.anonymous, failIfDatabaseUnavailable="true") == gone
    assert await asked(broken.anonymous, failIfNoRecentEvents="true") == gone
    assert await asked(broken.anonymous) == (200, "OK")
    for client in clients:
        await client.aclose()
    await absent.close()


async def test_changes_are_logged_both_ways_without_anybody_asking_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("query_api.readiness.LOOK_AGAIN_S", 0.001)
    lacks: str | None = "starting"

    async def store() -> str | None:
        return lacks

    async def sink() -> str | None:
        return None

    readiness = Readiness(
        [ReadinessCheck("store", store), ReadinessCheck("sink", sink)],
        QuerySettings(readiness_cache_s=0),
    )
    with capture_logs() as logs:
        await readiness.look()
        lacks = None
        await readiness.look()
        assert [(line["event"], line["log_level"]) for line in logs] == [
            ("not_ready", "info"),
            ("ready", "info"),
        ]
        logs.clear()
        lacks = "it does not answer"
        await readiness.look()
        lacks = "it still does not answer"
        await readiness.look()
        lacks = None
        async with asyncio.timeout(WITHIN_S):
            while len(logs) < 2:  # noqa: ASYNC110  (a task that nobody else waits for)
                await asyncio.sleep(0.001)
    assert logs == [
        {
            "event": "not_ready",
            "log_level": "warning",
            "missing": "store",
            "found": "it does not answer",
        },
        {"event": "ready_again", "log_level": "info"},
    ]


async def test_checks_are_asked_together_once_in_a_while_and_not_waited_for_forever() -> None:
    asked = 0

    async def counted() -> str | None:
        nonlocal asked
        asked += 1
        return None

    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    readiness = Readiness(
        [ReadinessCheck("a", counted), ReadinessCheck("b", hangs)],
        QuerySettings(readiness_cache_s=60, readiness_timeout_s=0.05),
    )
    looks = await asyncio.gather(*(readiness.look() for _ in range(5)))
    assert looks == [{"a": "ok", "b": "no answer within 0.05 s"}] * 5
    assert asked == 1


async def test_a_store_without_its_tables_is_not_ready(
    clickhouse_url: str, clickhouse_store: Store
) -> None:
    assert await store_probe(clickhouse_store, TIERING)() is None
    empty = Store(
        StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database="never_migrated")
    )
    assert "not migrated" in (await store_probe(empty, TIERING)() or "")
    await empty.close()
    absent = Store(StoreSettings(clickhouse_url="http://127.0.0.1:1"))
    assert "does not answer" in (await store_probe(absent, TIERING)() or "")
    await absent.close()


async def test_a_broker_that_is_absent_or_empty_is_not_ready(
    kafka_broker: str, topic_prefix: str
) -> None:
    absent = KafkaSettings(broker="127.0.0.1:1", topic_prefix=topic_prefix)
    assert "does not answer" in (await broker_probe(absent)() or "")
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    assert await broker_probe(kafka)() == f"no topic {topic_prefix}.control, {topic_prefix}.events"


@asynccontextmanager
async def member(kafka: KafkaSettings, group: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic, **client_options(kafka), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )  # fmt: skip
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def until(probe: GroupProbe, expected: str | None) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (found := await probe()) != expected:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_group_is_ready_with_live_members_that_keep_up(
    kafka_broker: str, topic_prefix: str
) -> None:
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    topic, group = kafka.topics.events, f"{topic_prefix}-streams"
    admin = AIOKafkaAdminClient(**client_options(KafkaSettings(broker=kafka_broker)))
    try:
        await admin.start()
        await admin.create_topics([NewTopic(topic, 2, 1)])
    finally:
        await admin.close()
    probe = GroupProbe(kafka, group, (topic,), lag_max=2)
    await until(probe, f"no live member in the group {group}")
    async with member(kafka, group, topic) as consumer:
        await until(probe, None)
        async with AIOKafkaProducer(
            **client_options(KafkaSettings(broker=kafka_broker))
        ) as producer:
            for _ in range(3):
                await producer.send_and_wait(topic, b"{}", partition=0)
        await until(probe, f"the group {group} is 3 records behind")
        await consumer.getmany(timeout_ms=int(WITHIN_S * 1000), max_records=2)
        await consumer.commit()
        await until(probe, None)
    await until(probe, f"no live member in the group {group}")


@pytest.mark.parametrize("broker", ["127.0.0.1:1"])
async def test_the_way_of_an_event_is_checked_whole(broker: str, clickhouse_store: Store) -> None:
    settings = QuerySettings(readiness_timeout_s=30)
    kafka = KafkaSettings(broker=broker)
    control = ControlLog(kafka)
    checks = readiness_checks(kafka, control, clickhouse_store, TIERING, settings)
    found = await Readiness(checks, settings).look()
    missing = {name: state for name, state in found.items() if state != "ok"}
    assert missing.keys() == {"keys", "broker", "streams", "sink"}
    assert found["store"] == "ok"
    assert missing["keys"] == "no project has a key: `tracemill migrate` writes the first one"


async def test_a_project_without_a_key_lets_nothing_in() -> None:
    control = ControlInMemory()
    probe = keys_probe(control)
    control.keep(Project(id="acme", name="acme", created_us=1))
    assert await probe() is not None
    control.keep(
        new_api_key(key_id="k", project_id="acme", public_key="pk", secret="sk", created_us=1)
    )
    assert await probe() is None
