"""Encode the events and dead letters of one request, grouped by partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from producers import metrics
from producers.dead_letters import DeadLetter, encode_dead_letter
from producers.errors import BatchTooLargeError, TooLargeError
from producers.gateway.partition_queue import PartitionQueue
from producers.settings import GatewaySettings
from producers.unplaced_events import encode_unplaced
from tracemill.contract import Event, Observation, encode_event
from tracemill.partitioning import partition_key, partition_of


class EventBatch:
    """The encoded lines of one request; none is queued before all of them are encoded."""

    def __init__(
        self,
        project_id: str,
        queues: Sequence[PartitionQueue],
        dead_letter_queue: PartitionQueue,
        unplaced_queue: PartitionQueue,
        gateway: GatewaySettings,
        api_key: str = "",
    ) -> None:
        self._api_key = api_key
        """Public key of the sender; observations contain it."""
        self.project_id = project_id
        """``Principal.quota_key`` of the sender."""
        self._event_queues = queues
        self._dead_letter_queue = dead_letter_queue
        self._unplaced_queue = unplaced_queue
        self._event_max_bytes = gateway.event_max_bytes
        self._max_bytes = self._free_bytes = gateway.batch_max_bytes
        self.dead_letter_reasons: Counter[str] = Counter()
        self.event_count = 0
        self._lines_of_trace: dict[tuple[str, str], list[bytes]] = {}
        self.lines_by_queue: dict[PartitionQueue, list[bytes]] = {}

    @property
    def item_count(self) -> int:
        """Return the number of events and dead letters."""
        return self.event_count + self.dead_letter_reasons.total()

    def add(self, event: Event, *, is_unplaced: bool = False) -> None:
        """Add an event; with ``is_unplaced``, its trace is not known yet and is looked up later.

        Raises:
            TooLargeError: its line is longer than ``event_max_bytes``. It was not added.
            BatchTooLargeError: the batch is larger than ``batch_max_bytes``.
        """
        if self._api_key and type(event) is Observation:
            event.api_key = self._api_key
        line = encode_event(event)
        self._reserve(line)
        if len(line) > self._event_max_bytes:
            metrics.LIMIT_REACHED.labels(limit="event_max_bytes").inc()
            raise TooLargeError(
                f"the event has {len(line)} bytes; the maximum is {self._event_max_bytes}"
            )
        if is_unplaced:
            metrics.EVENTS_UNPLACED.inc()
            lines = self.lines_by_queue.setdefault(self._unplaced_queue, [])
            lines.append(encode_unplaced(event))
            self.event_count += 1
            return
        trace = (event.project_id, partition_key(event))
        of_trace = self._lines_of_trace.get(trace)
        if of_trace is None:
            queue = self._event_queues[partition_of(*trace, len(self._event_queues))]
            of_trace = self._lines_of_trace[trace] = self.lines_by_queue.setdefault(queue, [])
        of_trace.append(line)
        self.event_count += 1

    def add_dead_letter(self, rejected: DeadLetter) -> None:
        """Add a dead letter.

        Raises:
            BatchTooLargeError: as for ``add``.
        """
        line = encode_dead_letter(rejected)
        self._reserve(line)
        self.lines_by_queue.setdefault(self._dead_letter_queue, []).append(line)
        self.dead_letter_reasons[rejected.reason] += 1

    def _reserve(self, line: bytes) -> None:
        self._free_bytes -= len(line)
        if self._free_bytes < 0:
            metrics.LIMIT_REACHED.labels(limit="batch_max_bytes").inc()
            raise BatchTooLargeError(
                f"the events of the request have more than {self._max_bytes} bytes"
            )
