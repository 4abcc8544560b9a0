"""Define the topics. Values are NDJSON unless a topic's docstring names another format."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Partitions(Enum):
    """Partitioning of a topic. Except for ``ONE``, the value names the setting with the number."""

    BY_TRACE = "event_partitions"
    BY_PROJECT = "project_partitions"
    ONE = "one"


class Cleanup(Enum):
    """Cleanup policy of a topic: which records the broker deletes."""

    DELETE = "delete"
    """Delete records older than ``topic_retention_h``."""
    KEEP = "keep"
    """Delete no records."""
    RETAIN = "retain"
    """Delete records older than ``trace_deletions_retention_h``."""
    COMPACT = "compact"
    """Delete records whose key has a newer record."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its name without the prefix, its partitioning and its cleanup policy."""

    name: str
    partitions: Partitions
    cleanup: Cleanup = Cleanup.DELETE


@dataclass(frozen=True, slots=True)
class Topics:
    """The full names of all topics, under one prefix."""

    prefix: str = "tracemill"

    def of(self, topic: Topic) -> str:
        """Return the full name of ``topic``."""
        return f"{self.prefix}.{topic.name}"

    @property
    def streams_group(self) -> str:
        """Consumer group that commits the offsets of processed events and deltas."""
        return f"{self.prefix}-streams"

    @property
    def alerting_group(self) -> str:
        """Consumer group whose members evaluate rules and budgets.

        They continue from checkpoints; committed offsets only show which records are not needed any
        more.
        """
        return f"{self.prefix}-alerting"

    @property
    def sink_group(self) -> str:
        """Consumer group that commits the offsets of stored rows."""
        return f"{self.prefix}-sink"

    @property
    def events(self) -> str:
        """Events of producers (``tracemill.contract``); partition by trace."""
        return f"{self.prefix}.events"

    @property
    def unplaced_updates(self) -> str:
        """Events that lack a trace id and refer to an observation that was not seen recently.

        One partition; ``producers.unplaced_events`` defines the format of lines.
        """
        return f"{self.prefix}.unplaced-updates"

    @property
    def observations(self) -> str:
        """Rows of the table ``observations``; same partitions as ``events``.

        The header ``source_offset`` is the offset of the processed record in ``events``.
        """
        return f"{self.prefix}.observations"

    @property
    def traces(self) -> str:
        """Rows of the table ``traces``; same partitions as ``events``."""
        return f"{self.prefix}.traces"

    @property
    def trace_log(self) -> str:
        """Hashes of all traces (``streams.core.observations.trace_log``); not JSON.

        Same partitions as ``events``.
        """
        return f"{self.prefix}.trace-log"

    @property
    def deferred(self) -> str:
        """Events that wait for the store (``streams.core.observations.deferral``).

        Same partitions as ``events``.
        """
        return f"{self.prefix}.deferred"

    @property
    def scores(self) -> str:
        """Rows of the table ``scores``; same partitions as ``events``."""
        return f"{self.prefix}.scores"

    @property
    def trace_deletions(self) -> str:
        """Rows of the table ``trace_deletions``; one partition."""
        return f"{self.prefix}.trace-deletions"

    @property
    def deltas(self) -> str:
        """Changes of projects' windows and spend (``streams.core.rollups.deltas``).

        Partition by project.
        """
        return f"{self.prefix}.deltas"

    @property
    def windows(self) -> str:
        """Rows of the table ``windows``; same partitions as ``deltas``."""
        return f"{self.prefix}.windows"

    @property
    def spend(self) -> str:
        """Rows of the table ``spend``; same partitions as ``deltas``."""
        return f"{self.prefix}.spend"

    @property
    def alerts(self) -> str:
        """Rows of the table ``alerts``.

        One partition, compacted by alert id.
        """
        return f"{self.prefix}.alerts"

    @property
    def deliveries(self) -> str:
        """State of each webhook delivery, one JSON object per record.

        One partition, compacted by delivery id.
        """
        return f"{self.prefix}.deliveries"

    @property
    def delivery_log(self) -> str:
        """Rows of the table ``delivery_log``; one partition."""
        return f"{self.prefix}.delivery-log"

    @property
    def jobs(self) -> str:
        """State of each job of a kind without a topic of its own, as JSON.

        One compacted partition; keys are ``kind/id``.
        """
        return f"{self.prefix}.jobs"

    @property
    def usage(self) -> str:
        """Usage that each gateway has counted for quotas, one JSON object per record.

        One compacted partition; keys are ``month/gateway/project``.
        """
        return f"{self.prefix}.usage"

    @property
    def dead_letters(self) -> str:
        """Rows of the table ``dead_letters``; one partition."""
        return f"{self.prefix}.dead-letters"

    @property
    def quarantine(self) -> str:
        """Attempts of workers to process records, and quarantined records, as JSON.

        One compacted partition; see ``streams.core.quarantine.quarantined``.
        """
        return f"{self.prefix}.quarantine"

    @property
    def control(self) -> str:
        """The control-plane log, one JSON object per record.

        One partition, compacted by record key.
        """
        return f"{self.prefix}.control"


CONTROL: Final = Topic("control", Partitions.ONE, Cleanup.COMPACT)
OWN_TOPICS: Final = (
    Topic("events", Partitions.BY_TRACE),
    Topic("unplaced-updates", Partitions.ONE),
    Topic("trace-log", Partitions.BY_TRACE, Cleanup.KEEP),
    Topic("deferred", Partitions.BY_TRACE),
    Topic("deltas", Partitions.BY_PROJECT),
    Topic("deliveries", Partitions.ONE, Cleanup.COMPACT),
    Topic("jobs", Partitions.ONE, Cleanup.COMPACT),
    Topic("quarantine", Partitions.ONE, Cleanup.COMPACT),
    Topic("usage", Partitions.ONE, Cleanup.COMPACT),
    CONTROL,
)
"""Control topic, and topics without rows of a table. ``clickhouse.feeds`` declares the others."""
