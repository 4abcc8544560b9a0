"""Build the query API on a real store, with a control plane in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import msgspec
from pydantic import SecretStr

from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.levels.schema import LEVEL_TABLES
from clickhouse.migrate import migrate
from clickhouse.rows import ObservationRow, ScoreRow, TraceRow
from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.backtests import StreamBacktester
from deploy.budget_backtests import StreamBudgetBacktester
from deploy.default_prices import ShippedPrices
from deploy.price_explanations import BilledPrices
from deploy.sketches import sketch_counts
from producers.control.auth import Authenticator, Principal
from producers.control.keys import new_api_key
from producers.control.kinds.project import Project
from producers.control.record import Change, ControlRecord, Tombstone
from producers.control.view import ControlView
from producers.documents.record import DocumentRecord
from producers.documents.tail import DocumentTail
from producers.errors import ControlConflictError, ControlUnavailableError, ControlVersionError
from producers.notifications.registry import EVENT_TYPES, EventTypes
from producers.settings import AdminSettings
from producers.tiers.book import TierBook
from producers.tiers.record import Tier
from query_api.app import create_query_api
from query_api.decisions.book import DecisionBook
from query_api.health.readiness import ReadinessCheck
from query_api.jobs.states import JobStates
from query_api.media.s3_signing import S3Access
from query_api.settings import QuerySettings
from tests.fixtures.store import TIERING, copy_schema

PROJECT = "acme"
OTHER = "globex"
ADMIN_KEY = "an admin key of tests, which is long enough".replace(" ", "-")
ENDLESS = frozenset({"/v1/stream"})
"""Paths whose responses do not end by themselves; their own tests have two projects."""
ADMIN_PATHS = ("/v1/storage", "/v1/pipeline", "/v1/admin", "/api/public/projects/")
DAY_US = 86_400_000_000
SHIPPED_PRICES = ShippedPrices()
NOON_US = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z


class ControlInMemory:
    """The control-plane log as its reader sees it, without a broker; other tests cover the log."""

    def __init__(self) -> None:
        self.view = ControlView()
        self.broken = False
        self._versions: dict[tuple[str, str], int] = {}
        self._writes = count(1)
        self._subscribers: list[Callable[[Change], None]] = []

    def keep(self, record: ControlRecord) -> None:
        self.view.add(record)
        self._notify(record)
        self._versions[record.kind, record.id] = next(self._writes)

    async def create(self, record: ControlRecord) -> ControlRecord:
        if self.broken:
            raise ControlUnavailableError("the log does not answer")
        await asyncio.sleep(0)  # others go on while the broker writes
        if record.id in self.view[type(record)]:
            raise ControlConflictError(f"{record.kind}/{record.id} already exists")
        self.keep(record)
        return record

    async def put(self, record: ControlRecord, *, expected: int | None = None) -> ControlRecord:
        if expected is not None:
            self._expect(record, expected)
        self.keep(record)
        return record

    async def update(
        self,
        record: type[Any],
        record_id: str,
        changed: Callable[[Any], Any],
        *,
        expected: int | None = None,
    ) -> Any:
        held = self.view[record].get(record_id)
        if held is not None:
            self._expect(held, expected)
            held = changed(held)
            self.keep(held)
        return held

    async def transact(self, planned: Callable[[], Sequence[Change]]) -> None:
        if self.broken:
            raise ControlUnavailableError("the log does not answer")
        await asyncio.sleep(0)
        for change in planned():
            if isinstance(change, Tombstone):
                await self.delete(change.kind, change.id)
            else:
                self.keep(change)

    async def delete(self, kind: str, record_id: str, *, expected: int | None = None) -> bool:
        for record in self.view.records():
            if (record.kind, record.id) == (kind, record_id):
                self._expect(record, expected)
        is_removed = self.view.remove(kind, record_id)
        if is_removed:
            self._notify(Tombstone(kind=kind, id=record_id))
        return is_removed

    def version_of(self, kind: str, record_id: str) -> int | None:
        return self._versions.get((kind, record_id))

    def _expect(self, record: ControlRecord, version: int | None) -> None:
        if version not in {None, self.version_of(record.kind, record.id)}:
            raise ControlVersionError(f"{record.id} is at another version")

    def subscribe(self, callback: Callable[[Change], None]) -> None:
        for record in self.view.records():
            callback(record)
        self._subscribers.append(callback)

    def _notify(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber(change)

    async def caught_up(self) -> None:
        return


class TiersInMemory:
    """The tiers of users without a broker; other tests cover their topic."""

    def __init__(self) -> None:
        self.book = TierBook()

    async def write(self, tiers: Sequence[Tier], *, per_project_max: int) -> None:
        await asyncio.sleep(0)
        for each in tiers:
            self.book.apply(each)


class DocumentsInMemory:
    """The log of documents without a broker; nothing of it is stored."""

    def __init__(self) -> None:
        self.tail = DocumentTail()
        self._offsets = count()

    async def caught_up(self) -> bool:
        return True

    async def append(self, records: Sequence[DocumentRecord]) -> list[bool]:
        await asyncio.sleep(0)  # others go on while the broker writes
        won = []
        for each in records:
            offset = next(self._offsets)
            self.tail.apply(each, offset, len(each.body), 0.0)
            won.append(self.tail.has_won(offset))
        return won


class SentScores:
    """The bodies of scores that were sent, with the public keys of their senders."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, Any]] = []
        self.error: Exception | None = None

    async def __call__(self, principal: Principal, body: bytes) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.bodies.append((principal.public_key, msgspec.json.decode(body)))


@dataclass
class Api:
    """A client per project, the store behind it, and what it is ready for."""

    store: Store
    control: ControlInMemory
    client: httpx.AsyncClient
    other: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    admin: httpx.AsyncClient
    decisions: DecisionBook
    missing: dict[str, str] = field(default_factory=dict)
    sent: SentScores = field(default_factory=SentScores)
    jobs: JobStates = field(default_factory=JobStates)

    async def insert(self, *rows: msgspec.Struct) -> None:
        """Rows as the sink would bring them: one insert per table."""
        table_of = {row_type: table for table, row_type in ROW_OF_TABLE.items()}
        by_table: dict[str, list[bytes]] = {}
        for row in rows:
            line = msgspec.json.encode(row) + b"\n"
            by_table.setdefault(table_of[type(row)], []).append(line)
        for table, lines in by_table.items():
            columns = [column.encode_name for column in msgspec.structs.fields(ROW_OF_TABLE[table])]
            await self.store.insert_lines(table, columns, lines)

    def client_for(self, path: str) -> httpx.AsyncClient:
        """Return the client whose credential may read a path."""
        return self.admin if path.startswith(ADMIN_PATHS) else self.client

    async def empty(self) -> None:
        """Take all rows out. Most tests fill few tables, and truncating each takes time."""
        tables = [*ROW_OF_TABLE, "observations_slim", *LEVEL_TABLES, "window_rollups"]
        filled = await self.store.query(
            "SELECT DISTINCT table FROM system.parts WHERE database = {database:String}"
            " AND table IN {tables:Array(String)} AND active",
            {"database": self.store.database, "tables": tables},
        )
        for row in filled:
            await self.store.command(f"TRUNCATE TABLE {row['table']}")


def make_api(
    store: Store,
    settings: QuerySettings | None = None,
    event_types: EventTypes = EVENT_TYPES,
    s3: S3Access | None = None,
) -> tuple[Api, Sequence[httpx.AsyncClient]]:
    control = ControlInMemory()
    for project_id in (PROJECT, OTHER):
        control.keep(Project(id=project_id, name=project_id.title(), created_us=NOON_US))
        key = new_api_key(
            key_id=f"key-{project_id}",
            project_id=project_id,
            public_key=f"pk-{project_id}",
            secret=f"sk-{project_id}",
            created_us=NOON_US,
        )
        control.keep(key)
    missing: dict[str, str] = {}
    sent, jobs = SentScores(), JobStates()

    async def probe() -> str | None:
        return missing.get("store")

    settings = settings or QuerySettings(readiness_cache_s=0, readiness_timeout_s=30)
    tiers = TiersInMemory()
    decisions = DecisionBook(
        control,  # type: ignore[arg-type]
        tiers.book,
        partitions=2,
        states_max=settings.budget_states_max,
    )
    decisions.is_ready = True
    app = create_query_api(
        store,
        control,
        Authenticator(control, AdminSettings(secret_key=SecretStr(ADMIN_KEY))),
        settings,
        [ReadinessCheck("store", probe)],
        event_types=event_types,
        default_prices=SHIPPED_PRICES,
        explainer=BilledPrices(),
        backtester=StreamBacktester(),
        budget_backtester=StreamBudgetBacktester(),
        sketch_counts=sketch_counts,
        tiers=tiers,
        documents=DocumentsInMemory(),
        decisions=decisions,
        s3=s3,
        send_scores=sent,
        jobs=jobs,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def client(*auth: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=transport, base_url="http://tracemill", auth=auth or None
        )

    projects = [client(f"pk-{each}", f"sk-{each}") for each in (PROJECT, OTHER)]
    clients = (*projects, client(), client("admin", ADMIN_KEY))
    return Api(store, control, *clients, decisions, missing=missing, sent=sent, jobs=jobs), clients


Kept = Callable[[Iterable[msgspec.Struct]], str]
"""Stores rows in a database that a whole module reads, and tells its name."""


@contextmanager
def kept_in(clickhouse_url: str, migrated: str = "") -> Iterator[Kept]:
    """Yield a function that fills databases, which are copies of the one that is ``migrated``."""
    databases: list[str] = []

    def keep(rows: Iterable[msgspec.Struct]) -> str:
        databases.append(f"test_{uuid.uuid4().hex[:12]}")
        asyncio.run(_fill(clickhouse_url, databases[-1], list(rows), migrated))
        return databases[-1]

    yield keep
    for database in databases:
        asyncio.run(_drop(clickhouse_url, database))


async def _fill(
    clickhouse_url: str, database: str, rows: list[msgspec.Struct], migrated: str
) -> None:
    async with opened(clickhouse_url, database) as api:
        if migrated:
            await copy_schema(api.store, migrated)
        else:
            await migrate(api.store, TIERING)
        await api.insert(*rows)


async def _drop(clickhouse_url: str, database: str) -> None:
    async with opened(clickhouse_url, database) as api:
        await api.store.command(f"DROP DATABASE IF EXISTS {database} SYNC", use_database=False)


@asynccontextmanager
async def opened(
    clickhouse_url: str,
    database: str,
    settings: QuerySettings | None = None,
    s3: S3Access | None = None,
) -> AsyncIterator[Api]:
    """The query API on a database that is there."""
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    api, clients = make_api(store, settings, s3=s3)
    try:
        yield api
    finally:
        for client in clients:
            await client.aclose()
        await store.close()


def observation(
    trace_id: str, observation_id: str, start_us: int = NOON_US, **fields: Any
) -> ObservationRow:
    """An observation of ``PROJECT``, unless ``fields`` say otherwise."""
    given = {"project_id": PROJECT, "row_version": 1, **fields}
    return ObservationRow(trace_id=trace_id, id=observation_id, start_us=start_us, **given)


def trace(trace_id: str, start_us: int = NOON_US, **fields: Any) -> TraceRow:
    given = {"project_id": PROJECT, "row_version": 1, **fields}
    return TraceRow(id=trace_id, start_us=start_us, **given)


def score(score_id: str, event_us: int = NOON_US, **fields: Any) -> ScoreRow:
    given = {"project_id": PROJECT, "row_version": 1, "name": "helpful", **fields}
    return ScoreRow(id=score_id, event_us=event_us, **given)
