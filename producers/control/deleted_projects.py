"""Follow which projects are deleted, for processes that need no other control records."""

from __future__ import annotations

from aiokafka import TopicPartition

from producers.control.kinds.project import Project
from producers.control.log_reader import LogReader
from producers.control.state import ControlState
from producers.settings import KafkaSettings


class DeletedProjects:
    """The ids of projects that are being deleted, or were."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._state = ControlState(only=(Project,))
        self._reader = LogReader(kafka, TopicPartition(kafka.topics.control, 0), self._apply)
        self.ids: frozenset[bytes] = frozenset()
        """Encoded, as rows contain them."""

    async def start(self) -> None:
        """Read the whole log, then follow it.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            KafkaError: the broker did not return the end of the log.
        """
        await self._reader.connect()
        await self._reader.start()

    async def stop(self) -> None:
        """Stop following; the ids stay as they are."""
        await self._reader.stop()

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            changes = self._state.apply((key or b"").decode(), value, offset)
        except ValueError:  # a record of a newer version; the log of other processes reports it
            return
        if changes:
            projects = self._state.view[Project].values()
            self.ids = frozenset(each.id.encode() for each in projects if each.state != "active")
