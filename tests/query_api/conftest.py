"""The query API on a real store, with a control plane in memory: what a test gets to talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest

from clickhouse.rows import ROW_OF_TABLE
from clickhouse.store import Store
from producers.control.keys import new_api_key
from producers.control.records import Change, Project, Record, Tombstone
from producers.control.state import ControlView
from producers.gateway.auth import Authenticator
from query_api.app import create_query_api
from query_api.readiness import ReadinessCheck
from query_api.settings import QuerySettings

PROJECT = "acme"
OTHER = "globex"
DAY_US = 86_400_000_000
NOON_US = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z


class ControlInMemory:
    """What the control-plane log does for its reader, without a broker: the log itself is tested where it lives."""

    def __init__(self) -> None:
        self.view = ControlView()

    async def put(self, record: Record) -> Record:
        self._shelf(record.kind)[record.id] = record
        if record.kind == "api_key":
            self.view.api_key_of_public_key[record.public_key] = record
        return record

    async def delete(self, kind: str, record_id: str) -> bool:
        return self._shelf(kind).pop(record_id, None) is not None

    def subscribe(self, callback: Callable[[Change], None]) -> None:
        for record in self.view.records():
            callback(record)

    async def caught_up(self) -> None:
        return

    def _shelf(self, kind: str) -> dict[str, Record | Tombstone]:
        shelves = {
            "project": self.view.projects,
            "api_key": self.view.api_keys,
            "price": self.view.prices,
            "budget": self.view.budgets,
            "webhook": self.view.webhooks,
        }
        return shelves[kind]


@dataclass
class Api:
    """A client per project, the store behind it, and what it is ready for."""

    store: Store
    control: ControlInMemory
    client: httpx.AsyncClient
    other: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    missing: dict[str, str] = field(default_factory=dict)

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


async def make_api(
    store: Store, settings: QuerySettings | None = None
) -> tuple[Api, Sequence[httpx.AsyncClient]]:
    control = ControlInMemory()
    for project_id in (PROJECT, OTHER):
        await control.put(Project(id=project_id, name=project_id.title(), created_us=NOON_US))
        key = new_api_key(
            key_id=f"key-{project_id}",
            project_id=project_id,
            public_key=f"pk-{project_id}",
            secret=f"sk-{project_id}",
            created_us=NOON_US,
        )
        await control.put(key)
    missing: dict[str, str] = {}

    async def probe() -> str | None:
        return missing.get("store")

    app = create_query_api(
        store,
        control,
        Authenticator(control),
        settings or QuerySettings(readiness_cache_s=0),
        [ReadinessCheck("store", probe)],
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def client(project_id: str | None) -> httpx.AsyncClient:
        auth = (f"pk-{project_id}", f"sk-{project_id}") if project_id else None
        return httpx.AsyncClient(transport=transport, base_url="http://tracemill", auth=auth)

    clients = (client(PROJECT), client(OTHER), client(None))
    return Api(store, control, *clients, missing=missing), clients


@pytest.fixture
async def api(clickhouse_store: Store) -> AsyncIterator[Api]:
    api, clients = await make_api(clickhouse_store)
    yield api
    for client in clients:
        await client.aclose()
