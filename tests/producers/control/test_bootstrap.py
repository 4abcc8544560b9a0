"""The first project and key: made once, and changed only by what is set explicitly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from clickhouse.all_topics import ensure_topics
from producers.control.bootstrap import bootstrap, first_key
from producers.control.keys import secret_matches
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.errors import ControlConflictError, InitError
from producers.settings import InitSettings, KafkaSettings
from tests.fixtures.control_log import following


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(
        broker=kafka_broker, topic_prefix=topic_prefix, event_partitions=1, project_partitions=1
    )
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def control(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as log:
        yield log


def init(secret: str | None = None, **named: Any) -> InitSettings:
    return InitSettings(**named, **({} if secret is None else {"secret_key": SecretStr(secret)}))


def accepted(control: ControlLog) -> dict[str, set[str]]:
    """The secrets that work, of those these tests use, by public key."""
    return {
        key.public_key: {
            secret for secret in ("sk-tm-dev", "sk-1", "sk-2") if secret_matches(key,
                secret.encode())
        }
        for key in control.view[ApiKey].values()
    }  # fmt: skip


async def test_one_project_and_one_key_are_made_however_often_it_runs(
    control: ControlLog, kafka: KafkaSettings
) -> None:
    async with following(kafka) as other:
        await asyncio.gather(bootstrap(control, init()), bootstrap(other, init()))
        await bootstrap(control, init())

        await other.caught_up()
    assert list(other.view[Project]) == ["default"]
    (key,) = other.view[ApiKey].values()
    assert key.project_id == "default"
    assert key.public_key == "pk-tm-dev"
    assert secret_matches(key, b"sk-tm-dev")
    assert not secret_matches(key, b"sk-tm-def")
    assert "sk-tm-dev" not in key.model_dump_json()


@pytest.mark.parametrize(
    "first",
    [
        {"secret": "sk-1"},
        {"public_key": "pk-1", "secret": "sk-1"},
        {"project_id": "acme", "public_key": "pk-1", "secret": "sk-1"},
    ],
)
async def test_a_later_run_without_settings_leaves_what_the_first_one_made(
    control: ControlLog, first: dict[str, str]
) -> None:
    await bootstrap(control, init(**first))
    made = control.view.records()
    await bootstrap(control, init())

    assert control.view.records() == made
    assert accepted(control) == {first.get("public_key", "pk-tm-dev"): {"sk-1"}}


async def test_an_explicit_secret_replaces_that_of_the_first_key(control: ControlLog) -> None:
    await bootstrap(control, init("sk-1", public_key="pk-1"))
    await bootstrap(control, init("sk-2"))

    assert accepted(control) == {"pk-1": {"sk-2"}}


async def test_a_replaced_secret_keeps_the_scopes_and_the_expiry_of_its_key(
    control: ControlLog,
) -> None:
    await bootstrap(control, init("sk-1", public_key="pk-1"))
    (key,) = control.view[ApiKey].values()
    limited = key.model_copy(update={"scopes": ("ingest",), "expires_at_us": 2**52})
    await control.put(limited)
    await bootstrap(control, init("sk-2"))

    (replaced,) = control.view[ApiKey].values()
    assert secret_matches(replaced, b"sk-2")
    assert (replaced.scopes, replaced.expires_at_us) == (("ingest",), 2**52)


async def test_another_pair_of_keys_is_added_to_the_project(control: ControlLog) -> None:
    await bootstrap(control, init(project_id="acme"))
    await bootstrap(control, init("sk-2", public_key="pk-2"))

    assert accepted(control) == {"pk-tm-dev": {"sk-tm-dev"}, "pk-2": {"sk-2"}}
    assert {key.project_id for key in control.view[ApiKey].values()} == {"acme"}
    assert list(control.view[Project]) == ["acme"]


async def test_no_public_secret_becomes_the_secret_of_a_new_key(control: ControlLog) -> None:
    await bootstrap(control, init("sk-1"))
    for incomplete in (
        init(public_key="pk-2"),
        init(project_id="p2"),
        init("sk-2", project_id="p2"),
    ):
        with pytest.raises(InitError, match="set both TRACEMILL_INIT_PUBLIC_KEY and"):
            await bootstrap(control, incomplete)

    assert accepted(control) == {"pk-tm-dev": {"sk-1"}}
    assert list(control.view[Project]) == ["default"]


async def test_where_the_project_of_a_new_key_could_be_any_it_must_be_named(
    control: ControlLog,
) -> None:
    await bootstrap(control, init())
    await bootstrap(control, init("sk-1", project_id="p1", public_key="pk-1"))
    with pytest.raises(InitError, match="TRACEMILL_INIT_PROJECT_ID"):
        await bootstrap(control, init("sk-2", public_key="pk-2"))

    assert set(control.view[Project]) == {"default", "p1"}


async def test_a_key_stays_with_its_project(control: ControlLog) -> None:
    await bootstrap(control, init())
    with pytest.raises(ControlConflictError, match="belongs to project default"):
        await bootstrap(control, init("sk-2", project_id="other", public_key="pk-tm-dev"))

    assert accepted(control) == {"pk-tm-dev": {"sk-tm-dev"}}


async def test_what_a_run_that_died_left_open_is_done_by_the_next(control: ControlLog) -> None:
    await bootstrap(control, init(project_id="acme"))
    await control.delete("project", "acme")
    await bootstrap(control, init())

    assert list(control.view[Project]) == ["acme"]
    assert len(control.view[ApiKey]) == 1


async def test_the_first_key_is_the_oldest_unless_another_is_named(control: ControlLog) -> None:
    await bootstrap(control, init("sk-1", public_key="pk-1"))
    await bootstrap(control, init("sk-2", project_id="p2", public_key="pk-2"))

    def named(settings: InitSettings) -> str | None:
        key = first_key(control.view, settings)
        return None if key is None else key.public_key

    assert named(init()) == "pk-1"
    assert named(init(project_id="p2")) == "pk-2"
    assert named(init(public_key="pk-2")) == "pk-2"
    assert named(init(public_key="pk-3")) is None


@pytest.mark.parametrize("project_id", [".", "..", "-x", "a b"])
async def test_a_project_whose_id_is_not_allowed_is_not_made(
    control: ControlLog, project_id: str
) -> None:
    with pytest.raises(InitError, match="TRACEMILL_INIT_PROJECT_ID: "):
        await bootstrap(control, init(project_id=project_id))
    assert not control.view[Project]
    assert not control.view[ApiKey]
