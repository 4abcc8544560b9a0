"""Follow which projects are deleted, for processes that need no other control records."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from producers.control.kinds.project import Project
from producers.control.state import ControlState
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings


class DeletedProjects:
    """The ids of projects in the states ``deleting`` and ``deleted``."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._state = ControlState(only=(Project,))
        self._reader = LogReader(
            kafka,
            TopicPartition(kafka.topics.control, 0),
            self._apply,
            isolation="read_committed",
            disconnected_max_s=kafka.broker_wait_s,
        )
        self.ids: frozenset[bytes] = frozenset()
        """Ids as bytes, as in rows."""

    async def start(self) -> None:
        """Read the whole log, and then follow it.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            TopicError: the log's topic does not exist.
        """
        await self._reader.start()
        await self._reader.caught_up()

    async def stop(self) -> None:
        """Stop following the log; the ids remain unchanged."""
        await self._reader.stop()

    def _apply(self, record: ConsumerRecord) -> None:
        try:
            changes = self._state.apply((record.key or b"").decode(), record.value, record.offset)
        except ValueError:  # a record of a newer version, which other processes report
            return
        if changes:
            projects = self._state.view[Project].values()
            self.ids = frozenset(each.id.encode() for each in projects if each.state != "active")
