"""Progress of stages 2 and 3, as headers of records on ``windows``."""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from producers.kafka import started, stopped
from producers.settings import KafkaSettings
from streams.core.project_fold import START, Marker

Headers = list[tuple[str, bytes]]

INPUT_OFFSET: Final = "input_offset"
APPLIED: Final = "applied"
HORIZONS: Final = "horizons"
UNSETTLED: Final = "unsettled"

FIRST_STEP: Final = 16
STOP_TIMEOUT_S: Final = 2.0
POLL_MS: Final = 500


def headers_of(marker: Marker) -> Headers:
    horizons = (marker.windows_horizon_s, marker.spend_horizon_s)
    return [
        (INPUT_OFFSET, str(marker.input_offset).encode()),
        (APPLIED, msgspec.json.encode(marker.applied)),
        (HORIZONS, msgspec.json.encode(horizons)),
        (UNSETTLED, msgspec.json.encode(marker.unsettled)),
    ]


def marker_of(record: ConsumerRecord) -> Marker | None:
    """The marker that a record carries, if it does.

    Raises:
        msgspec.DecodeError: a header is not what this version writes.
    """
    headers = dict(record.headers)
    if INPUT_OFFSET not in headers:
        return None
    horizons = msgspec.json.decode(headers[HORIZONS], type=tuple[int | None, int | None])
    return Marker(
        input_offset=int(headers[INPUT_OFFSET]),
        applied=msgspec.json.decode(headers[APPLIED], type=dict[int, tuple[int, list[str]]]),
        windows_horizon_s=horizons[0],
        spend_horizon_s=horizons[1],
        unsettled=msgspec.json.decode(headers[UNSETTLED], type=list[tuple[str, int]]),
    )


async def last_marker(
    kafka: KafkaSettings, windows: TopicPartition, spend: TopicPartition
) -> tuple[Marker | None, dict[TopicPartition, int]]:
    """The last marker on ``windows``, and the ends of both partitions.

    ``START`` if nothing was ever written; ``None`` if something was, but no marker is left of it.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        KafkaError: it stopped answering.
    """
    consumer: AIOKafkaConsumer = await started(
        lambda: AIOKafkaConsumer(bootstrap_servers=kafka.broker, enable_auto_commit=False), kafka
    )
    try:
        consumer.assign([windows])
        ends = await consumer.end_offsets([windows, spend])
        begin = (await consumer.beginning_offsets([windows]))[windows]
        end = ends[windows]
        if end == 0:
            return START, ends
        step = FIRST_STEP
        upper = end
        while upper > begin:
            lower = max(begin, upper - step)
            marker = await _last_marker_between(consumer, windows, lower, upper)
            if marker is not None:
                return marker, ends
            upper, step = lower, step * 4
        return None, ends
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)


async def _last_marker_between(
    consumer: AIOKafkaConsumer, partition: TopicPartition, lower: int, upper: int
) -> Marker | None:
    found: Marker | None = None
    consumer.seek(partition, lower)
    while await consumer.position(partition) < upper:
        polled = await consumer.getmany(partition, timeout_ms=POLL_MS)
        for record in polled.get(partition, ()):
            if record.offset < upper:
                found = marker_of(record) or found
    return found
