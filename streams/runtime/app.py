"""Configure the Faust application, which subscribes, rebalances and commits.

Nothing else of Faust is used, because its tables lose windows and its batches acknowledge failed
records. Topics carry raw bytes, an agent passes them to ``partition_host``, and offsets are
acknowledged explicitly and in order. Any failure of Faust ends the process; a restart restores the
state from the output topics.
"""

from __future__ import annotations

from typing import Final

import faust
from faust.tables import TableManager
from mode.supervisors import CrashingSupervisor

from producers.kafka.clients import ssl_context
from producers.settings import KafkaSettings

BUFFERED_RECORDS_MAX: Final = 64
"""Records that Faust queues for an agent; further ones stay in the consumer."""
POLL_RECORDS_MAX: Final = 500
FETCH_BYTES_MAX: Final = 4 * 1024 * 1024
COMMIT_INTERVAL_S: Final = 1.0
"""Readiness uses committed offsets, so it sees progress with up to this delay."""
SESSION_TIMEOUT_S: Final = 6.0
HEARTBEAT_INTERVAL_S: Final = SESSION_TIMEOUT_S / 5
SUSPENDED_AFTER_S: Final = SESSION_TIMEOUT_S - 1.25 * HEARTBEAT_INTERVAL_S
"""A worker that was suspended for this time may have lost its partitions, because its last
heartbeat was up to one interval before the suspension."""


class StatelessApp(faust.App):
    """Faust without its data directory, which only tables need."""

    def _create_directories(self) -> None:
        pass


class NoTables(TableManager):
    """A replacement of Faust's table manager, for an application without tables.

    At the start, Faust's own manager waits for a second before the application subscribes. This one
    does not wait.
    """

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


def create_app(kafka: KafkaSettings, instance_id: str = "") -> faust.App:
    """Create an application without agents, which the stages add.

    After a restart, a worker with the same ``instance_id`` immediately gets its partitions back
    (static membership). Otherwise the broker first waits until the previous session times out.
    """
    return StatelessApp(
        kafka.topics.streams_group,
        broker=[f"aiokafka://{address}" for address in kafka.broker.split(",")],
        broker_credentials=_credentials(kafka),
        store="memory://",
        TableManager=NoTables,
        autodiscover=False,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        agent_supervisor=CrashingSupervisor,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_id or None,
        consumer_max_fetch_size=FETCH_BYTES_MAX,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFERED_RECORDS_MAX,
        broker_max_poll_records=POLL_RECORDS_MAX,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_INTERVAL_S,
    )


def _credentials(kafka: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """Return the credentials of ``producers.kafka.clients.client_options`` in Faust's types."""
    protocol = kafka.security_protocol
    context = ssl_context(kafka) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL_"):
        return faust.SASLCredentials(
            username=kafka.broker_username,
            password=kafka.broker_password.get_secret_value(),
            ssl_context=context,
            mechanism=kafka.broker_sasl_mechanism,
        )
    return None if context is None else faust.SSLCredentials(context)
