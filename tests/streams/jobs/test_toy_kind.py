"""A kind of job and a notification event that are defined in this file work end to end.

``python -m tests.streams.jobs.test_toy_kind`` is the worker, which a test may kill.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from aiokafka.structs import ConsumerRecord
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickhouse.alert_rows import alert_of_record, row_of_alert
from deploy.variables import variables
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.kafka.topics import Topics
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType
from producers.notifications.registry import EVENT_TYPES
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.jobs.book import Job
from streams.core.jobs.state import Failed, Outcome, Succeeded
from streams.jobs.kind import JobContext, JobKind
from streams.jobs.registry import KINDS, JobKinds
from streams.jobs.settings import JobSettings
from streams.jobs.stage import JobStage
from tests.streams.notifier.receivers import OK, Receiver, receiving, status

WORKER = "tests.streams.jobs.test_toy_kind"


class Rung(msgspec.Struct, frozen=True):
    url: str


class ToyRang(EventType[Rung]):
    """The bell was rung."""

    name = "toy.rang"
    payload = Rung


class ToySettings(JobSettings, BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TRACEMILL_TOY_CALLS_", frozen=True)

    retry_schedule_s: tuple[float, ...] = (0.05, 0.05, 0.05)
    attempt_timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class ToyCall(Job):
    url: str


class ToyCalls(JobKind[ToyCall]):
    """Calls the address that the bell names."""

    name = "toy_call"
    settings = ToySettings

    @classmethod
    def source(cls, topics: Topics) -> str:
        return topics.alerts

    def jobs_of(self, record: ConsumerRecord) -> Iterable[ToyCall]:
        alert = alert_of_record(record.value)
        if alert.event == ToyRang.name:
            url = ToyRang().payload_of(alert).url
            yield ToyCall(alert.id, url, alert.project_id, alert.created_us, url)

    async def attempt(self, job: ToyCall) -> Outcome:
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            answer = await client.post(job.url, content=job.id, headers={"webhook-id": job.id})
        text = f"status {answer.status_code}"
        return Succeeded(text) if answer.is_success else Failed(text)

    def payload_of(self, job: ToyCall) -> bytes:
        return job.url.encode()


@dataclass(frozen=True, slots=True)
class ToyGreeting(Job):
    url: str


class ToyGreetings(JobKind[ToyGreeting]):
    """Greets each new webhook: jobs that records of the control plane create."""

    name = "toy_greeting"
    settings = ToySettings

    @classmethod
    def source(cls, topics: Topics) -> str:
        return topics.control

    def jobs_of(self, record: ConsumerRecord) -> Iterable[ToyGreeting]:
        return ()

    def jobs_of_change(self, change: Change) -> Iterable[ToyGreeting]:
        if change.id == "broken":
            raise RuntimeError("a bug")
        if isinstance(change, Webhook):
            yield ToyGreeting(
                change.id, change.url, change.project_id, change.created_us, change.url
            )

    async def attempt(self, job: ToyGreeting) -> Outcome:
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            await client.post(job.url, content="hello", headers={"webhook-id": job.id})
        return Succeeded()

    def payload_of(self, job: ToyGreeting) -> bytes:
        return job.url.encode()


async def main() -> None:
    kafka = KafkaSettings()
    control = ControlLog(kafka)
    await control.start()
    event_types = EVENT_TYPES.including(ToyRang())
    for kind in JobKinds(*KINDS.values(), ToyCalls, ToyGreetings).values():
        settings = kind.settings()
        JobStage(kind, JobContext(kafka, control, WebhookSettings(), settings, event_types)).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ring(pipeline: Any, alert_id: str, url: str) -> None:
    """Write an alert of the toy event."""
    alert = Alert(
        project_id="p1",
        id=alert_id,
        event=ToyRang.name,
        rule_kind="bell",
        rule_id="bell_1",
        name="the bell",
        episode="e1",
        payload=msgspec.Raw(msgspec.json.encode(Rung(url))),
        created_us=time.time_ns() // 1_000,
    )
    record = msgspec.json.encode(row_of_alert(alert, ToyRang()))
    topic = pipeline.kafka.topics.alerts
    await pipeline.producer.send_and_wait(topic, record, key=alert_id.encode(), partition=0)


async def came(receiver: Receiver) -> list[str]:
    return receiver.ids


async def states(pipeline: Any) -> list[dict[str, Any]]:
    """Return the states of jobs, in order."""
    return [
        msgspec.json.decode(value) for value in await pipeline.values_of(pipeline.kafka.topics.jobs)
    ]


async def test_a_job_is_created_retried_and_done_and_its_event_is_delivered(
    pipeline: Any, until: Any
) -> None:
    async with (
        receiving(lambda number: status(500) if number <= 2 else OK) as called,
        receiving() as hook,
    ):
        await pipeline.put_webhook(hook.url, events=("toy.rang",))
        pipeline.start_worker(WORKER)
        await ring(pipeline, "ring_1", called.url)

        async def done() -> bool:
            return any(state.get("detail") == "status 204" for state in await states(pipeline))

        await until(done)

        async def delivered() -> bool:
            return "ring_1" in hook.ids

        await until(delivered)
    assert called.ids == ["ring_1"] * 3
    [body] = [body for headers, body in hook.requests if headers["webhook-id"] == "ring_1"]
    assert msgspec.json.decode(body)["data"]["url"] == called.url
    attempts = [state["attempts"] for state in await states(pipeline) if "detail" in state]
    assert attempts == [1, 2, 3]


async def test_a_job_whose_worker_is_killed_is_attempted_again_and_one_that_is_done_is_not(
    pipeline: Any, until: Any
) -> None:
    async with receiving() as fine, receiving(lambda n: None if n == 1 else OK) as hanging:
        pipeline.start_worker(WORKER)
        await ring(pipeline, "ring_1", fine.url)
        await until(lambda: states(pipeline))
        await ring(pipeline, "ring_2", hanging.url)

        async def attempts(count: int) -> bool:
            return len(hanging.requests) == count

        await until(lambda: attempts(1))
        pipeline.kill_workers()
        pipeline.start_worker(WORKER)
        await until(lambda: attempts(2))
        assert fine.ids == ["ring_1"]
        assert hanging.ids == ["ring_2"] * 2


async def test_records_of_the_control_plane_create_jobs_once(pipeline: Any, until: Any) -> None:
    async with receiving() as hook:
        await pipeline.put_webhook(hook.url, id="broken")
        await pipeline.put_webhook(hook.url, id="early")
        pipeline.start_worker(WORKER)

        async def done(count: int) -> bool:
            return len(await states(pipeline)) == count

        await until(lambda: done(1))
        await pipeline.put_webhook(hook.url, id="late")
        await until(lambda: done(2))
        pipeline.kill_workers()
        pipeline.start_worker(WORKER)
        await pipeline.put_webhook(hook.url, id="later")
        await until(lambda: done(3))
        assert hook.ids == ["early", "late", "later"]


def test_the_settings_of_a_kind_are_documented_with_those_of_all_kinds() -> None:
    about = {each.name: each.about for each in variables(ToySettings)}
    assert about["TRACEMILL_TOY_CALLS_ATTEMPTS_PER_TARGET_MAX"].startswith(
        "Concurrent attempts at one target; further ones wait."
    )


async def test_a_job_that_always_fails_ends_as_a_dead_letter(pipeline: Any, until: Any) -> None:
    async with receiving(lambda _: status(503)) as broken, receiving() as fine:
        pipeline.start_worker(WORKER)
        await ring(pipeline, "ring_1", broken.url)
        await ring(pipeline, "ring_2", "not an address")
        await ring(pipeline, "ring_3", fine.url)
        query = "SELECT id, stage, reason, detail, payload FROM dead_letters FINAL"

        async def both() -> dict[str, dict[str, Any]] | None:
            rows = {row["reason"]: row for row in await pipeline.rows(query)}
            return rows if len(rows) == 2 else None

        letters = await until(both)
        assert letters["toy_call_exhausted"] == {
            "id": "toy_call/ring_1",
            "stage": "jobs",
            "reason": "toy_call_exhausted",
            "detail": "4 attempts failed; the last one: status 503",
            "payload": broken.url,
        }
        assert letters["processing_failed"]["payload"] == "not an address"
        await until(lambda: came(fine))
        assert fine.ids == ["ring_3"]
    assert broken.ids == ["ring_1"] * 4


if __name__ == "__main__":
    os.environ.setdefault("TRACEMILL_NOTIFIER_ATTEMPT_TIMEOUT_S", "30")
    asyncio.run(main())
