"""Follow which projects are deleted, for processes that need no other control records."""

from __future__ import annotations

from aiokafka import TopicPartition

from producers.control.kinds.project import Project
from producers.control.log_reader import LogReader
from producers.control.state import ControlState
from producers.settings import KafkaSettings


class DeletedProjects:
    """The ids of projects in the states ``deleting`` and ``deleted``."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._state = ControlState(only=(Project,))
        self._reader = LogReader(kafka, TopicPartition(kafka.topics.control, 0), self._apply)
        self.ids: frozenset[bytes] = frozenset()
        """Ids as bytes, as in rows."""

    async def start(self) -> None:
        """Read the whole log, and then follow it.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            KafkaError: the end of the log could not be read.
        """
        await self._reader.connect()
        await self._reader.start()

    async def stop(self) -> None:
        """Stop following the log; the ids remain unchanged."""
        await self._reader.stop()

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            changes = self._state.apply((key or b"").decode(), value, offset)
        except ValueError:  # a record of a newer version, which other processes report
            return
        if changes:
            projects = self._state.view[Project].values()
            self.ids = frozenset(each.id.encode() for each in projects if each.state != "active")
