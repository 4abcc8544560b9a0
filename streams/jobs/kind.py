"""Define the interface of a kind of job: it creates jobs and attempts them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import DeadLetterRow
from clickhouse.store import Store
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.kafka.topics import Topics
from producers.notifications.registry import EVENT_TYPES, EventTypes
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.jobs.book import JobT
from streams.core.jobs.state import JobState, Outcome, Postponed
from streams.jobs.metrics import JobMetrics
from streams.jobs.settings import JobSettings


@dataclass(frozen=True, slots=True)
class JobContext:
    """The dependencies of every kind."""

    kafka: KafkaSettings
    control: ControlLog
    webhooks: WebhookSettings
    """Addresses that outgoing requests may use."""
    settings: Any
    """An instance of the kind's ``settings``."""
    event_types: EventTypes = field(default_factory=lambda: EVENT_TYPES)
    store: Store | None = None

    def is_deleted(self, project_id: str) -> bool:
        """Return whether the record of a project says that it is deleted or being deleted."""
        project = self.control.view[Project].get(project_id)
        return project is not None and project.state != "active"


class JobKind(ABC, Generic[JobT]):
    """A kind of job. Records of a log create its jobs; their states are on a compacted topic.

    An instance exists while the worker runs the kind. It needs no storage of its own, because both
    logs are read again after a restart.
    """

    name: ClassVar[str]
    """Name in snake case. It must never change, because the keys of states contain it."""
    settings: ClassVar[type[Any]]
    """Settings class with ``limits()``: a subclass of ``JobSettings`` and ``BaseSettings``."""
    stage: ClassVar[str] = "jobs"
    """Name of the stage in dead letters."""

    def __init__(self, context: JobContext) -> None:
        self.context = context
        self.limits: JobSettings = context.settings.limits()

    @classmethod
    @abstractmethod
    def source(cls, topics: Topics) -> str:
        """Return the topic whose records create jobs. It has one partition.

        ``ControlJobKind`` is for kinds whose jobs only the control plane creates.
        """

    @abstractmethod
    def jobs_of(self, record: ConsumerRecord) -> Iterable[JobT]:
        """Return the jobs that a record of the source creates.

        If this raises, the record becomes a dead letter, and reading continues.
        """

    def jobs_of_change(self, change: Change) -> Iterable[JobT]:  # noqa: ARG002
        """Return the jobs that a record of the control plane creates.

        The runner calls this for each existing record before it reads the source, and later for
        each change.
        """
        return ()

    def wait_of(self, job: JobT) -> Postponed | None:  # noqa: ARG002
        """Return how long an attempt must wait, such as for a limited rate; None: not at all."""
        return None

    def seals(self, job: JobT) -> bool:  # noqa: ARG002
        """Fix what an attempt does; return whether the state must be written before the attempt.

        Then a crash during the attempt does not change what the next one does.
        """
        return False

    @abstractmethod
    async def attempt(self, job: JobT) -> Outcome:
        """Attempt a job, within a time limit of the kind; attempts may be repeated.

        If this raises, the job becomes a dead letter without retries.
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
        """Return the consumer group that assigns the kind to one worker."""
        return f"{kafka.topic_prefix}-job-{cls.name}"

    @classmethod
    def states(cls, topics: Topics) -> str:
        """Return the topic of the states, which is compacted and has one partition."""
        return topics.jobs

    @classmethod
    def state_key(cls, job_id: str) -> str:
        """Return the key of a job's state."""
        return f"{cls.name}/{job_id}"

    @classmethod
    def job_id_of(cls, key: str) -> str | None:
        """Return the id of the job whose state has this key; None if its kind is another one."""
        kind, _, job_id = key.partition("/")
        return job_id if kind == cls.name else None

    def encode_state(self, job_id: str, state: JobState) -> bytes:  # noqa: ARG002
        """Encode a state as the value of a record."""
        return msgspec.json.encode(state)

    def decode_state(self, value: bytes) -> JobState:
        """Decode the value of a record; if this raises, the record becomes a dead letter."""
        return msgspec.json.decode(value, type=JobState)

    def records_of(self, job: JobT, state: JobState) -> Iterable[tuple[str, bytes]]:  # noqa: ARG002
        """Return records to write before the state of an attempt: pairs of topic and value.

        After a crash, they are written again with the repeated attempt.
        """
        return ()

    def sweep(self, now_us: int) -> None:
        """Remove input from memory that can create no more jobs.

        The runner calls this every ``sweep_interval_s``.
        """

    async def close(self) -> None:
        """Close connections; the runner calls this when no attempt is running."""


class ControlJobKind(JobKind[JobT]):
    """A kind whose jobs only records of the control plane create."""

    @classmethod
    def source(cls, topics: Topics) -> str:
        """Return the topic of the control plane."""
        return topics.control

    def jobs_of(self, record: ConsumerRecord) -> Iterable[JobT]:  # noqa: ARG002
        """Return no jobs, because ``jobs_of_change`` receives the same records."""
        return ()

    @abstractmethod
    def jobs_of_change(self, change: Change) -> Iterable[JobT]:
        """Return the jobs that a record of the control plane creates."""
