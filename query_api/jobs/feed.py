"""Follow the topic of the states of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from query_api.jobs.states import JobStates
from query_api.settings import QuerySettings


@asynccontextmanager
async def following_jobs(kafka: KafkaSettings, settings: QuerySettings) -> AsyncIterator[JobStates]:
    """Provide the states of jobs, which follow the topic during the block.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
    """
    states = JobStates(settings.jobs_max)

    def apply(record: ConsumerRecord) -> None:
        states.apply((record.key or b"").decode(errors="replace"), record.value)

    reader = LogReader(
        kafka, TopicPartition(kafka.topics.jobs, 0), apply, isolation="read_uncommitted"
    )
    await reader.start()
    try:
        yield states
    finally:
        await reader.stop()
