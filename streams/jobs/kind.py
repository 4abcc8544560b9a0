"""Defines a kind of job: what creates jobs, how one is attempted, what its target is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import DeadLetterRow
from clickhouse.store import Store
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.kafka.topics import Topics
from producers.notifications.registry import EVENT_TYPES, EventTypes
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.jobs.book import JobT
from streams.core.jobs.state import JobState, Outcome
from streams.jobs.metrics import JobMetrics
from streams.jobs.settings import JobSettings


@dataclass(frozen=True, slots=True)
class JobContext:
    """Arguments that every kind is created with."""

    kafka: KafkaSettings
    control: ControlLog
    webhooks: WebhookSettings
    """Which addresses outgoing requests may use."""
    settings: Any
    """An instance of the kind's ``settings``."""
    event_types: EventTypes = field(default_factory=lambda: EVENT_TYPES)
    store: Store | None = None


class JobKind(ABC, Generic[JobT]):
    """A kind of job. Records of a log create its jobs; their states are on a compacted topic.

    An instance exists while its worker runs the kind. It needs no persistence of its own: the
    source log and the states are read again after a restart.
    """

    name: ClassVar[str]
    """In snake case. It must never change, because it is part of the keys of states."""
    settings: ClassVar[type[Any]]
    """Settings class, with ``limits()``: a subclass of ``JobSettings`` and ``BaseSettings``."""
    stage: ClassVar[str] = "jobs"
    """Name of the stage in dead letters."""

    def __init__(self, context: JobContext) -> None:
        self.context = context
        self.limits: JobSettings = context.settings.limits()

    @classmethod
    @abstractmethod
    def source(cls, topics: Topics) -> str:
        """Return the topic whose records create jobs: one partition, read from its beginning.

        A kind whose jobs are created by the control plane alone returns ``topics.control``.
        """

    @abstractmethod
    def jobs_of(self, record: ConsumerRecord) -> Iterable[JobT]:
        """Return the jobs that a record of the source creates.

        If it raises, the record becomes a dead letter and reading continues.
        """

    def jobs_of_change(self, change: Change) -> Iterable[JobT]:  # noqa: ARG002
        """Return the jobs that a record of the control plane creates.

        Called for each existing record when the runner starts, before the source is read, and then
        for each change.
        """
        return ()

    @abstractmethod
    async def attempt(self, job: JobT) -> Outcome:
        """Attempt a job within a time that the kind limits. Must allow repetition.

        If it raises, the job becomes a dead letter without retries.
        """

    @abstractmethod
    def payload_of(self, job: JobT) -> bytes:
        """Return the input of a job, for its dead letter."""

    def dead_letter(self, job: JobT, state: JobState) -> DeadLetterRow:
        """Return the dead letter of an exhausted job."""
        return DeadLetterRow(
            project_id=job.project_id,
            id=f"{self.name}/{job.id}",
            created_us=job.created_us,
            stage=self.stage,
            reason=f"{self.name}_exhausted",
            detail=f"{state.attempts} attempts failed; the last one: {state.detail}",
            payload=self.payload_of(job).decode(errors="replace"),
        )

    @classmethod
    def metrics(cls) -> JobMetrics:
        """Return the metrics of the kind."""
        return JobMetrics(cls.name)

    @classmethod
    def group(cls, kafka: KafkaSettings) -> str:
        """Return the consumer group that decides which worker runs the kind."""
        return f"{kafka.topic_prefix}-job-{cls.name}"

    @classmethod
    def states(cls, topics: Topics) -> str:
        """Return the topic of the states: one partition, compacted."""
        return topics.jobs

    @classmethod
    def state_key(cls, job_id: str) -> str:
        """Return the key of a job's state."""
        return f"{cls.name}/{job_id}"

    @classmethod
    def job_id_of(cls, key: str) -> str | None:
        """Return the id of the job whose state has this key; None if it is of another kind."""
        kind, _, job_id = key.partition("/")
        return job_id if kind == cls.name else None

    def encode_state(self, job_id: str, state: JobState) -> bytes:  # noqa: ARG002
        """Return the record of a state."""
        return msgspec.json.encode(state)

    def decode_state(self, value: bytes) -> JobState:
        """Decode the record of a state. If it raises, the record becomes a dead letter."""
        return msgspec.json.decode(value, type=JobState)

    def sweep(self, now_us: int) -> None:
        """Forget what can create no more jobs; called every ``sweep_interval_s``."""

    async def close(self) -> None:
        """Disconnect; called when no attempt is running."""
