import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from producers.control.keys import new_api_key
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.kafka.broker_clock import BrokerClock
from producers.settings import KafkaSettings
from query_api.health.pipeline_watch import PipelineWatch
from query_api.health.readiness import (
    Readiness,
    ReadinessCheck,
    keys_probe,
    readiness_checks,
    store_probe,
)
from query_api.settings import QuerySettings
from query_api.times import SECOND_US
from tests.query_api.harness import OTHER, Api, ControlInMemory, make_api, observation, trace
from tracemill.clock import now_us

WITHIN_S = 60.0
TIERING = TieringSettings(hot_days=7)


async def test_ready_names_the_missing_dependency(api: Api) -> None:
    answer = await api.anonymous.get("/api/public/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "OK", "checks": {"store": "ok"}, "missing": []},
    )
    api.missing["store"] = "not migrated"
    answer = await api.admin.get("/api/public/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {
        "status": "NOT_READY", "checks": {"store": "not migrated"}, "missing": ["store"],
    }  # fmt: skip


async def test_only_the_admin_sees_addresses_and_how_much_is_not_processed(api: Api) -> None:
    api.missing["store"] = "the store at 10.1.2.3 does not answer"
    for credential in (
        None,
        ("pk-acme", "wrong"),
        ("pk-nobody", "sk-acme"),
        ("pk-acme", "sk-acme"),
    ):
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


async def test_with_the_key_of_a_project_only_its_own_events_are_recent(api: Api) -> None:
    async def asked(client: httpx.AsyncClient) -> int:
        recent = {"failIfNoRecentEvents": "true"}
        return (await client.get("/api/public/health", params=recent)).status_code

    await api.insert(observation("t", "o", now_us() - 60 * SECOND_US))
    assert [await asked(each) for each in (api.client, api.other, api.admin)] == [200, 503, 200]
    await api.insert(trace("t", now_us() - 60 * SECOND_US, project_id=OTHER))
    assert await asked(api.other) == 200


async def test_lost_and_regained_readiness_is_logged_without_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("query_api.health.readiness.RECHECK_INTERVAL_S", 0.001)
    failed: str | None = "starting"

    async def store() -> str | None:
        return failed

    async def sink() -> str | None:
        return None

    readiness = Readiness(
        [ReadinessCheck("store", store), ReadinessCheck("sink", sink)],
        QuerySettings(readiness_cache_s=0),
    )
    with capture_logs() as logs:
        await readiness.check()
        failed = None
        await readiness.check()
        assert [(line["event"], line["log_level"]) for line in logs] == [
            ("not_ready", "info"),
            ("ready", "info"),
        ]
        logs.clear()
        failed = "it does not answer"
        await readiness.check()
        failed = "it still does not answer"
        await readiness.check()
        failed = None
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


async def test_checks_run_concurrently_are_cached_and_time_out() -> None:
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
    looks = await asyncio.gather(*(readiness.check() for _ in range(5)))
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


async def test_every_dependency_of_an_event_is_checked(clickhouse_store: Store) -> None:
    settings = QuerySettings(readiness_timeout_s=30)
    kafka = KafkaSettings(broker="127.0.0.1:1")
    control = ControlLog(kafka)
    clock = BrokerClock(kafka.clock_skew_max_s)
    watch = PipelineWatch(kafka, settings, clock)
    checks = readiness_checks(control, clickhouse_store, TIERING, watch, clock)
    found = await Readiness(checks, settings).check()
    missing = {name: state for name, state in found.items() if state != "ok"}
    assert missing.keys() == {"keys", "broker", "streams", "sink"}
    assert found["store"] == "ok"
    assert missing["keys"] == "no project has a key; `tracemill migrate` creates the first one"


async def test_without_a_key_there_is_no_readiness() -> None:
    control = ControlInMemory()
    probe = keys_probe(control)
    control.keep(Project(id="acme", name="acme", created_us=1))
    assert await probe() is not None
    control.keep(
        new_api_key(key_id="k", project_id="acme", public_key="pk", secret="sk", created_us=1)
    )
    assert await probe() is None
