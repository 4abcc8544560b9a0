"""Run stage 1: a ``PartitionStage`` for every assigned partition of the events topic."""

from __future__ import annotations

from producers.settings import KafkaSettings
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import Tokens
from streams.observations import metrics
from streams.observations.partition import PartitionStage
from streams.observations.ports import History, Output
from streams.observations.settings import StreamsSettings
from streams.quarantine.log import QuarantineLog
from streams.quarantine.screen import Screen
from streams.runtime.partition_host import PartitionHost, StageSpec


class ObservationsStage:
    """Stage 1: creates its partitions, which ``host`` runs, and updates their prices."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: StreamsSettings,
        output: Output,
        history: History,
        prices: PriceBook,
        tokens: Tokens,
        quarantine: QuarantineLog | None = None,
    ) -> None:
        retention_h = kafka.trace_deletions_retention_h
        if settings.deleted_trace_memory_h > retention_h:
            raise ValueError(
                "TRACEMILL_STREAMS_DELETED_TRACE_MEMORY_H must be at most"
                f" TRACEMILL_TRACE_DELETIONS_RETENTION_H, {retention_h}"
            )
        self._kafka = kafka
        self._settings = settings
        self._output = output
        self._history = history
        self._prices = prices
        self._tokens = tokens
        self._quarantine = quarantine
        self.host = PartitionHost(
            StageSpec(
                name="observations",
                topic=kafka.topics.events,
                new_worker=self._new_partition,
                lag_records=metrics.LAG_RECORDS,
                lag_s=metrics.LAG_S,
                finish_timeout_s=settings.revoke_timeout_s,
                # Records in flight would be appended after those of the partition's next worker.
                late_is_fatal=True,
            )
        )

    def use_prices(self, prices: PriceBook) -> None:
        """Price later events with ``prices``."""
        self._prices = prices
        for partition in self.host.workers.values():
            partition.use_prices(prices)

    def _new_partition(self, number: int, failed: PartitionStage | None) -> PartitionStage:  # noqa: ARG002
        return PartitionStage(
            number,
            self._kafka.topics,
            self._kafka.project_partitions,
            self._settings,
            self._output,
            self._history,
            self._prices,
            self._tokens,
            self._kafka.record_max_bytes,
            self._screen(number),
        )

    def _screen(self, partition: int) -> Screen | None:
        settings = self._settings
        # Chunks that are folded but not acknowledged: those that wait, and those being written.
        chunks = 2 * settings.chunks_in_flight_max + 2
        span_records = settings.chunk_records_max * chunks
        if self._quarantine is None:
            return None
        return Screen(self._quarantine, "events", partition, span_records)
