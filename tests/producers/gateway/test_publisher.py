"""The publisher on a broker of its own, which these tests stop, kill and bring back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest

from clickhouse.all_topics import ensure_topics
from deploy.broker_probe import broker_answers
from deploy.embedded.kafka import EmbeddedKafka
from deploy.embedded.launch import bound_to_this_process
from producers.control.bootstrap import bootstrap
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import ControlRecord
from producers.dead_letters import dead_letter
from producers.errors import (
    ControlUnavailableError,
    OverloadedError,
    TooLargeError,
    UndeliveredError,
)
from producers.gateway.app import create_gateway
from producers.gateway.publisher import EventPublisher
from producers.settings import GatewaySettings, InitSettings, KafkaSettings
from tests.fixtures.control_log import following
from tests.fixtures.engines import READY_WITHIN_S, await_ready, new_broker
from tests.fixtures.suspended import suspend
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, KEYS, Log
from tracemill.contract import Observation
from tracemill.partitioning import partition_of

IMPATIENT = GatewaySettings(delivery_timeout_s=0.5, stop_timeout_s=0.5)
PATIENT = GatewaySettings(delivery_timeout_s=DELIVERY_TIMEOUT_S)


def observation(number: int, *, trace_id: str | None = None, text: str = "") -> Observation:
    return Observation(
        project_id="p", trace_id=trace_id or f"t{number}", id=f"o{number}", ts_us=number, input=text
    )


async def publish(publisher: EventPublisher, *events: Observation) -> None:
    batch = publisher.batch()
    for event in events:
        batch.add(event)
    await publisher.publish(batch)


@asynccontextmanager
async def running(kafka: KafkaSettings, gateway: GatewaySettings) -> AsyncIterator[EventPublisher]:
    """A publisher that is stopped on every way out: an open connection would fail a later test."""
    publisher = EventPublisher(kafka, gateway)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


@pytest.fixture
async def publisher(kafka: KafkaSettings) -> AsyncIterator[EventPublisher]:
    async with running(
        kafka, PATIENT.model_copy(update={"record_target_bytes": 2_000})
    ) as publisher:
        yield publisher


async def test_events_lie_in_the_partition_of_their_trace_in_the_order_they_came(
    publisher: EventPublisher, kafka: KafkaSettings, log: Log
) -> None:
    events = [observation(number, trace_id=f"t{number % 20}") for number in range(400)]

    await publish(publisher, *events)

    topic, count = kafka.topics.events, kafka.event_partitions
    for number, values in enumerate(await log.records(topic, count)):
        expected = [
            f"o{event.ts_us}"
            for event in events
            if partition_of("p", event.trace_id, count) == number
        ]
        lines = [line for value in values for line in value.split(b"\n")]
        assert [line.split(b'"id":"')[1].split(b'"')[0].decode() for line in lines] == expected


async def test_records_are_cut_at_the_target_and_a_larger_event_has_its_own(
    publisher: EventPublisher, kafka: KafkaSettings, log: Log
) -> None:
    small = [observation(number, trace_id="t") for number in range(100)]
    await publish(publisher, *small, observation(100, trace_id="t", text="x" * 5_000))

    records = [
        value
        for partition in await log.records(kafka.topics.events, kafka.event_partitions)
        for value in partition
    ]
    assert len([record for record in records if len(record) > 2_000]) == 1
    assert 3 <= len(records) < 20


async def test_what_many_requests_send_at_once_shares_records(
    publisher: EventPublisher, kafka: KafkaSettings, log: Log
) -> None:
    await asyncio.gather(
        *(publish(publisher, observation(number, trace_id="t")) for number in range(200))
    )

    records = [
        value
        for partition in await log.records(kafka.topics.events, kafka.event_partitions)
        for value in partition
    ]
    assert len(await log.events()) == 200
    assert len(records) < 40


async def test_dead_letters_are_acknowledged_with_their_batch(
    publisher: EventPublisher, log: Log
) -> None:
    letter = dead_letter(
        "p", reason="invalid_event", detail="d", payload=b"\xff{", created_us=7, max_bytes=1_000
    )

    batch = publisher.batch()
    batch.add_dead_letter(letter)
    await publisher.publish(batch)

    (kept,) = await log.dead_letters()
    assert kept["reason"] == "invalid_event"
    assert kept["payload"] == "\ufffd{"


async def test_an_event_above_the_limit_is_refused_before_anything_is_sent(
    kafka: KafkaSettings,
) -> None:
    publisher = EventPublisher(kafka, GatewaySettings(event_max_bytes=1024))

    with pytest.raises(TooLargeError, match="the maximum is 1024"):
        publisher.batch().add(observation(1, text="x" * 1024))


class OwnBroker:
    """A broker that tests may freeze, kill and start again."""

    def __init__(self, broker: EmbeddedKafka) -> None:
        self.broker = broker
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(bound_to_this_process(self.broker.command()), process_group=0)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        suspend(self.process.pid)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def revive(self) -> None:
        self.process = self._started()
        async with asyncio.timeout(READY_WITHIN_S):
            while not await broker_answers(self.broker.client_settings()):
                assert self.process.poll() is None
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    own = OwnBroker(new_broker(tmp_path_factory.mktemp("own-kafka")))
    try:
        await_ready(own.broker, own.process)
        yield own
    finally:
        own.kill()


@pytest.fixture
async def own_kafka(own_broker: OwnBroker, topic_prefix: str) -> KafkaSettings:
    if own_broker.process.poll() is not None:  # killed by a test that failed before it came back
        await own_broker.revive()
    settings = KafkaSettings(
        broker=own_broker.broker.address, topic_prefix=topic_prefix, request_timeout_s=2
    )
    await ensure_topics(settings.model_copy(update={"request_timeout_s": 30}))
    return settings


async def test_a_silent_broker_is_a_503_and_a_limit_on_what_waits_and_then_all_goes_on(
    own_kafka: KafkaSettings, own_broker: OwnBroker
) -> None:
    narrow = IMPATIENT.model_copy(update={"pending_max_bytes": 10_000})
    async with running(own_kafka, narrow) as publisher:
        await published_within(20, publisher, observation(1))
        with own_broker.frozen():
            on_its_way = asyncio.create_task(publish(publisher, observation(2, text="x" * 9_000)))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError, match="pending_max_bytes"):
                await publish(publisher, observation(3, text="x" * 2_000))
            with pytest.raises(UndeliveredError):
                await on_its_way
        await published_within(20, publisher, observation(4))

    ids = {event.id for event in await Log(own_kafka).events() if isinstance(event, Observation)}
    assert {"o1", "o4"} <= ids
    assert "o3" not in ids


async def test_what_nobody_waits_for_any_more_is_taken_back(
    own_kafka: KafkaSettings, own_broker: OwnBroker
) -> None:
    one_a_record = IMPATIENT.model_copy(update={"record_target_bytes": 2_000})
    in_the_way, behind = (observation(n, trace_id="t", text="x" * 1_500) for n in (1, 2))
    async with running(own_kafka, one_a_record) as publisher:
        await published_within(20, publisher, observation(0, trace_id="t"))
        with own_broker.frozen():
            outcomes = await asyncio.gather(
                publish(publisher, in_the_way), publish(publisher, behind), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [UndeliveredError] * 2
        await published_within(20, publisher, observation(3, trace_id="t"))

    ids = [event.id for event in await Log(own_kafka).events() if isinstance(event, Observation)]
    assert ids[0] == "o0"
    assert "o2" not in ids
    assert ids[-1] == "o3"


async def test_a_killed_broker_is_a_503_with_retry_after_and_its_return_is_noticed(
    own_kafka: KafkaSettings, own_broker: OwnBroker
) -> None:
    body = {
        "batch": [
            {"id": "e", "type": "trace-create", "timestamp": "2024-01-01T00:00:00Z",
                "body": {"id": "t"}}
        ]
    }  # fmt: skip
    url = "/api/public/ingestion"
    async with (
        following(own_kafka) as control,
        running(own_kafka, IMPATIENT) as stopped_meanwhile,
    ):
        await bootstrap(control, InitSettings())
        app = create_gateway(own_kafka, IMPATIENT, control)
        transport = httpx.ASGITransport(app)
        async with (
            app.running(),
            httpx.AsyncClient(transport=transport, base_url="http://gateway", auth=KEYS) as client,
        ):
            await accepted_within(20, client, url, body)
            own_broker.kill()
            for _ in range(3):
                response = await client.post(url, json=body)
                assert response.status_code == 503
                assert response.headers["retry-after"] == "1"
                assert "Service Unavailable" in response.json()["message"]
            assert not await app.publisher.broker_answers()
            with pytest.raises(UndeliveredError):
                await publish(stopped_meanwhile, observation(1))
            async with asyncio.timeout(10):
                await stopped_meanwhile.stop()

            await own_broker.revive()
            await accepted_within(20, client, url, body)
            await answering_within(20, app.publisher)
            written = await written_within(
                30, control, Project(id="p2", name="later", created_us=1)
            )
            assert control.view[Project]["p2"] == written
    events = await Log(own_kafka).events()
    assert {event.trace_id for event in events} == {"t"}
    assert len(events) >= 2


async def test_a_silent_broker_is_told_before_exporters_give_up(
    own_kafka: KafkaSettings, own_broker: OwnBroker
) -> None:
    assert GatewaySettings().delivery_timeout_s < 4
    async with running(own_kafka, GatewaySettings(stop_timeout_s=0.5)) as publisher:
        await published_within(20, publisher, observation(1))
        with own_broker.frozen(), pytest.raises(UndeliveredError):
            async with asyncio.timeout(30):
                await publish(publisher, observation(2))


async def test_while_the_broker_keeps_a_record_waiting_the_next_ones_are_told_at_once(
    own_kafka: KafkaSettings, own_broker: OwnBroker
) -> None:
    async with running(own_kafka, IMPATIENT) as publisher:
        await published_within(20, publisher, observation(1, trace_id="t"))
        own_broker.kill()
        with pytest.raises(UndeliveredError):
            await publish(publisher, observation(2, trace_id="t"))
        await refused_within(20, publisher, observation(2, trace_id="t"))
        for number in range(3, 6):
            with pytest.raises(OverloadedError, match="delivery_timeout_s"):
                async with asyncio.timeout(0):
                    await publish(publisher, observation(number, trace_id="t"))
        await own_broker.revive()
        await published_within(20, publisher, observation(6, trace_id="t"))

    ids = {event.id for event in await Log(own_kafka).events() if isinstance(event, Observation)}
    assert ids >= {"o1", "o6"}
    assert ids.isdisjoint({"o3", "o4", "o5"})


async def test_stopping_delivers_what_is_pending(kafka: KafkaSettings, log: Log) -> None:
    publisher = EventPublisher(kafka, PATIENT)
    await publisher.start()
    pending = [asyncio.create_task(publish(publisher, observation(n))) for n in range(50)]
    await asyncio.sleep(0)

    await publisher.stop()

    await asyncio.gather(*pending)
    assert len(await log.events()) == 50


async def test_a_record_the_broker_refuses_is_an_error_and_the_next_one_is_taken(
    kafka_broker: str, topic_prefix: str
) -> None:
    narrow = KafkaSettings(
        broker=kafka_broker, topic_prefix=topic_prefix, record_max_bytes=1_048_576
    )
    await ensure_topics(narrow)
    wide = narrow.model_copy(update={"record_max_bytes": 16_777_216})
    async with running(wide, PATIENT) as publisher:
        await publish(publisher, observation(1, trace_id="t"))
        noise = os.urandom(2_000_000).hex()  # does not compress below the topic's limit
        with pytest.raises(UndeliveredError):
            await publish(publisher, observation(2, trace_id="t", text=noise))
        await publish(publisher, observation(3, trace_id="t"))

    assert [event.ts_us for event in await Log(narrow).events()] == [1, 3]


async def published_within(timeout_s: float, publisher: EventPublisher, event: Observation) -> None:
    """Publish as a client would: again until it is taken."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                await publish(publisher, event)
            except (OverloadedError, UndeliveredError):
                await asyncio.sleep(0.01)
                continue
            return


async def refused_within(timeout_s: float, publisher: EventPublisher, event: Observation) -> None:
    """Publish until it is refused: a record counts as pending for a moment after a timeout."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                await publish(publisher, event)
            except OverloadedError:
                return
            except UndeliveredError:
                continue


async def accepted_within(
    timeout_s: float, client: httpx.AsyncClient, url: str, body: dict[str, object]
) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            response = await client.post(url, json=body)
            if response.status_code == 207:
                return
            await asyncio.sleep(0.01)


async def answering_within(timeout_s: float, publisher: EventPublisher) -> None:
    async with asyncio.timeout(timeout_s):
        while not await publisher.broker_answers():  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.01)


async def written_within(timeout_s: float, control: ControlLog, project: Project) -> ControlRecord:
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                return await control.put(project)
            except ControlUnavailableError:
                await asyncio.sleep(0.01)
