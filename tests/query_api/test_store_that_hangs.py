"""A store that accepts connections but never responds: requests fail in time, and it recovers."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from clickhouse.errors import StoreUnavailable
from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import RESPONSE_GRACE_S, Store
from deploy.embedded.ports import free_ports
from query_api.settings import QuerySettings
from tests.fixtures.store import running_store
from tests.fixtures.suspended import suspend
from tests.query_api.counting import reached
from tests.query_api.harness import Api, opened

EXECUTION_MAX_S = 1
GRACE_S = 0.5
HEALTH_MAX_S = 1.0
LATE_S = 20.0
"""Time that a busy machine may add; without the tested limits it would be at least 32 s."""
GOES_ON_WITHIN_S = 60.0
QUESTIONS = (
    "/v1/windows",
    "/v1/storage",
    "/v1/alerts",
    "/v1/dead-letters",
    "/v1/traces/t/tree",
    "/api/public/traces",
    "/api/public/traces/t",
    "/api/public/observations",
    "/api/public/scores",
)


class Hanging:
    """A store's process that can be made to hang."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> None:
        suspend(self._process.pid)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Hanging]]:
    (port,) = free_ports(1)
    with running_store(tmp_path_factory.mktemp("hangs"), port) as process:
        yield f"http://127.0.0.1:{port}", Hanging(process)


@pytest.fixture
async def hangable(own_store: tuple[str, Hanging]) -> AsyncIterator[tuple[Api, Hanging]]:
    url, hanging = own_store
    settings = QuerySettings(
        execution_time_max_s=EXECUTION_MAX_S,
        answer_grace_s=GRACE_S,
        readiness_timeout_s=HEALTH_MAX_S,
    )
    async with opened(url, "hangs", settings) as api:
        await migrate(api.store, TieringSettings(hot_days=7))
        yield api, hanging


async def answered(client: httpx.AsyncClient, path: str, **params: str) -> int:
    """Return the status after the store has finished abandoned queries and respects our limits."""
    deadline_s = time.monotonic() + GOES_ON_WITHIN_S
    while (answer := await client.get(path, params=params)).status_code in {422, 503}:
        assert time.monotonic() < deadline_s, answer.text
        await asyncio.sleep(0.05)
    return answer.status_code


async def test_queries_of_a_hung_store_get_503_and_succeed_once_it_resumes(
    hangable: tuple[Api, Hanging],
) -> None:
    api, hanging = hangable
    before = reached("answer_grace_s")
    with hanging:
        started_s = time.monotonic()
        answers = await asyncio.gather(*(api.client_for(path).get(path) for path in QUESTIONS))
        elapsed_s = time.monotonic() - started_s
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert "within 1.5 s" in answers[0].json()["error"]["message"]
    assert EXECUTION_MAX_S <= elapsed_s < EXECUTION_MAX_S + GRACE_S + LATE_S
    assert reached("answer_grace_s") >= before + len(QUESTIONS)
    after = {await answered(api.client_for(path), path) for path in QUESTIONS}
    assert after <= {200, 404}


async def test_health_soon_reports_a_hung_store(hangable: tuple[Api, Hanging]) -> None:
    api, hanging = hangable
    asked, params = "/api/public/health", {"failIfDatabaseUnavailable": "true"}
    with hanging:
        started_s = time.monotonic()
        sick = await api.anonymous.get(asked, params=params)
        elapsed_s = time.monotonic() - started_s
    assert (sick.status_code, sick.json()["status"]) == (503, "Database not available")
    assert elapsed_s < HEALTH_MAX_S + LATE_S
    assert await answered(api.anonymous, asked, **params) == 200


async def test_a_query_of_any_process_ends_although_the_store_hangs(
    own_store: tuple[str, Hanging],
) -> None:
    url, hanging = own_store
    store = Store(StoreSettings(clickhouse_url=url, clickhouse_query_timeout_s=0.2))
    try:
        with hanging:
            started_s = time.monotonic()
            for ask in (store.query, store.query_bytes):
                with pytest.raises(StoreUnavailable):
                    await ask("SELECT 1")
            assert time.monotonic() - started_s < 2 * (0.2 + RESPONSE_GRACE_S) + LATE_S
        store.settings.clickhouse_query_timeout_s = 30  # the short one was for the hang
        assert await store.query("SELECT 1 AS one", use_database=False) == [{"one": 1}]
    finally:
        await store.close()
