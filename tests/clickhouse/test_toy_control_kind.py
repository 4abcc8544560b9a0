"""A kind of control record that is defined here by its record and its resource."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final

import httpx
import msgspec
from pydantic import BaseModel, Field

from clickhouse.feeds import FEEDS
from clickhouse.sink.control_log import control_row
from clickhouse.store import Store
from deploy.price_explanations import BilledPrices
from deploy.recovery.control_records import read_control_log, restore_control
from producers.control.auth import Authenticator
from producers.control.fields import SecretField
from producers.control.keys import new_api_key
from producers.control.log import ControlLog
from producers.control.record import Microseconds, ProjectRecord
from producers.control.registry import KINDS
from producers.control.secret_box import SecretBox
from producers.settings import KafkaSettings
from query_api.app import create_query_api
from query_api.context import AppContext
from query_api.settings import QuerySettings
from query_api.v1.crud import Change, Create, Resource
from query_api.v1.etags import etag_of
from tests.clickhouse.sink_for_tests import count, eventually
from tests.fixtures.control_log import following
from tests.fixtures.sink import sinking
from tracemill.clock import now_us


class Robot(ProjectRecord):
    kind = "robot"
    per_project_max = 3

    name: str
    serial: str
    token: Annotated[str, SecretField()] = Field(repr=False)
    created_us: Microseconds

    def unique_keys(self) -> tuple[str, ...]:
        return (f"serial:{self.serial}",)


class RobotBody(BaseModel):
    name: str = Field(max_length=20)
    serial: str


class RobotChange(BaseModel):
    name: str = Field(max_length=20)


class RobotOut(msgspec.Struct):
    id: str
    name: str
    serial: str


class RobotCreated(RobotOut):
    token: str


def _create(_context: AppContext) -> Create[RobotBody, Robot]:
    async def create(project_id: str, body: RobotBody) -> Robot:
        return Robot(
            id=f"rob_{body.serial}",
            project_id=project_id,
            name=body.name,
            serial=body.serial,
            token=f"token-{secrets.token_hex(8)}",
            created_us=now_us(),
        )

    return create


EXAMPLE: Final = {"id": "rob_1", "name": "Robby", "serial": "1"}
ROBOTS: Final = Resource(
    record=Robot,
    path="/v1/robots",
    body=RobotBody,
    create=_create,
    shown=lambda robot: RobotOut(robot.id, robot.name, robot.serial),
    shown_type=RobotOut,
    example=EXAMPLE,
    created=lambda robot: RobotCreated(robot.id, robot.name, robot.serial, robot.token),
    created_type=RobotCreated,
    created_example=EXAMPLE | {"token": "token-1"},
    change=Change(RobotChange, lambda robot, body: robot.model_copy(update=body.model_dump())),
)
KINDS_WITH_ROBOTS: Final = KINDS.including(Robot)
BOX: Final = SecretBox("the key of this installation")


def client_of(store: Store, control: ControlLog, project_id: str = "p") -> httpx.AsyncClient:
    """A client of the query API on the log, as the role ``query`` puts it together."""
    app = create_query_api(
        store,
        control,
        Authenticator(control),
        QuerySettings(),
        [],
        resources=[ROBOTS],
        explainer=BilledPrices(),
    )
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://tracemill",
        auth=(f"pk-{project_id}", f"sk-{project_id}"),
    )


async def create_keys(control: ControlLog) -> None:
    for project_id in ("p", "q"):
        key = new_api_key(
            key_id=project_id,
            project_id=project_id,
            public_key=f"pk-{project_id}",
            secret=f"sk-{project_id}",
            created_us=1,
        )
        await control.create(key)


async def test_a_new_kind_has_routes_limits_versions_and_a_copy_to_restore_it_from(
    kafka: KafkaSettings, clickhouse_store: Store
) -> None:
    async with (
        following(kafka, kinds=KINDS_WITH_ROBOTS) as control,
        client_of(clickhouse_store, control) as mine,
        client_of(clickhouse_store, control, "q") as other,
    ):
        await create_keys(control)
        made = [await _created(mine, serial) for serial in ("1", "2", "3")]
        shown = [{name: each[name] for name in EXAMPLE} for each in made]

        await _check_pages(mine, shown)
        await _check_refusals(mine, other)
        await _check_versions(mine, control)
        assert (await mine.delete("/v1/robots/rob_2")).status_code == 204
        assert (await mine.get("/v1/robots/rob_2")).status_code == 404

    # A process that starts later, and one that knows only the copy in the store.
    async with (
        following(kafka, kinds=KINDS_WITH_ROBOTS) as control,
        client_of(clickhouse_store, control) as mine,
    ):
        kept = (await mine.get("/v1/robots")).json()["data"]
        assert [each["id"] for each in kept] == ["rob_1", "rob_3"]
        assert kept[0]["name"] == "changed again"
        robots = control.view[Robot]
        assert [robots[each["id"]].token for each in made if each["id"] in robots] == [
            made[0]["token"],
            made[2]["token"],
        ]
        await _check_copy(kafka, clickhouse_store, control, [each["token"] for each in made])


async def _created(client: httpx.AsyncClient, serial: str) -> dict[str, Any]:
    answer = await client.post("/v1/robots", json={"name": "Robby", "serial": serial})
    assert answer.status_code == 201, answer.text
    robot: dict[str, Any] = answer.json()
    assert robot["token"].startswith("token-")
    return robot


async def _check_pages(mine: httpx.AsyncClient, shown: list[dict[str, Any]]) -> None:
    assert (await mine.get("/v1/robots")).json() == {"data": shown}
    first = (await mine.get("/v1/robots?limit=2")).json()
    assert first["data"] == shown[:2]
    cursor = first["meta"]["cursor"]
    rest = (await mine.get("/v1/robots", params={"limit": 2, "cursor": cursor})).json()
    assert rest == {"data": shown[2:], "meta": {"has_more": False, "cursor": None}}
    assert (await mine.get("/v1/robots?cursor=x")).json()["error"]["field"] == "cursor"
    assert (await mine.get("/v1/robots?limit=0")).status_code == 422


async def _check_refusals(mine: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    one_more = await mine.post("/v1/robots", json={"name": "x", "serial": "4"})
    assert one_more.status_code == 409
    assert one_more.json()["error"]["message"] == "a project has at most 3 robots"
    taken = await other.post("/v1/robots", json={"name": "x", "serial": "1"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "conflict")
    for method in ("GET", "DELETE", "PATCH"):
        body = {"json": {"name": "x"}} if method == "PATCH" else {}
        answer = await other.request(method, "/v1/robots/rob_1", **body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "no robot 'rob_1'")
    assert (await other.get("/v1/robots")).json() == {"data": []}
    assert (await mine.patch("/v1/robots/rob_1", json={"name": "x" * 21})).status_code == 422


async def _check_versions(mine: httpx.AsyncClient, control: ControlLog) -> None:
    read = (await mine.get("/v1/robots/rob_1")).headers["etag"]
    assert read == f'"{etag_of(control.view[Robot]["rob_1"])}"'
    if_unchanged = {"If-Match": read}
    changed = await mine.patch("/v1/robots/rob_1", json={"name": "changed"}, headers=if_unchanged)
    assert (changed.status_code, changed.json()["name"]) == (200, "changed")
    assert changed.headers["etag"] != read
    again = await mine.patch("/v1/robots/rob_1", json={"name": "lost"}, headers=if_unchanged)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert "read it again" in again.json()["error"]["message"]
    unreadable = await mine.patch(
        "/v1/robots/rob_1", json={"name": "x"}, headers={"If-Match": "yesterday"}
    )
    assert (unreadable.status_code, unreadable.json()["error"]["field"]) == (422, "If-Match")
    anyway = await mine.patch("/v1/robots/rob_1", json={"name": "changed again"})
    assert anyway.json()["name"] == "changed again"


async def _check_copy(
    kafka: KafkaSettings, store: Store, control: ControlLog, tokens: list[str]
) -> None:
    """The store has every change, no secret in clear, and enough to restore the records."""
    row_of = partial(control_row, kinds=KINDS_WITH_ROBOTS)
    feeds = [
        replace(feed, row_of=lambda record, _: row_of(record, BOX))
        if feed.table == "control_log"
        else feed
        for feed in FEEDS
    ]

    async def all_there() -> bool:
        return await count(store, "control_log") == 8

    async with sinking(kafka, store, feeds=feeds):
        await eventually(all_there)
    text = str(await store.query("SELECT * FROM control_log FINAL"))
    assert "changed again" in text
    assert not any(token in text for token in tokens)
    restored = restore_control(await read_control_log(store), BOX, KINDS_WITH_ROBOTS)
    robots = [record for record in restored.records if isinstance(record, Robot)]
    assert robots == sorted(control.view[Robot].values(), key=lambda robot: robot.position)
    without_key = restore_control(await read_control_log(store), None, KINDS_WITH_ROBOTS)
    assert len(without_key.unreadable) == 2
