"""Define the stage that places events without a trace id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer

from clickhouse.store import Store
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.settings import KafkaSettings
from streams.placement import metrics
from streams.placement.lookup import StoreLookup
from streams.placement.output import PlacementOutput
from streams.placement.partition import PlacementContext, PlacementPartition
from streams.placement.settings import PlacementSettings
from streams.runtime.partition_host import StageSpec

RECORD_BYTES = 512 * 1024


def placement_stage(
    kafka: KafkaSettings,
    producer: AIOKafkaProducer,
    store: Store,
    control: ControlLog,
    settings: PlacementSettings,
    wait_until_processed: Callable[[], Awaitable[None]],
) -> StageSpec[PlacementPartition]:
    """Define the stage.

    Args:
        kafka: settings of the broker.
        producer: a producer that refuses to send after a suspension of the process.
        store: the store in which observations are looked up.
        control: the control plane, which lists deleted projects.
        settings: limits of the stage.
        wait_until_processed: waits until all current records of the log are stored.
    """

    def is_deleted(project_id: str) -> bool:
        project = control.view[Project].get(project_id)
        return project is not None and project.state != "active"

    context = PlacementContext(
        settings,
        lambda on_failure: StoreLookup(store, settings, on_failure),
        PlacementOutput(kafka, producer, RECORD_BYTES),
        wait_until_processed,
        is_deleted,
    )

    def new_worker(_: int, failed: PlacementPartition | None) -> PlacementPartition:  # noqa: ARG001
        return PlacementPartition(context)

    return StageSpec(
        name="placement",
        topic=kafka.topics.unplaced_updates,
        new_worker=new_worker,
        lag_records=metrics.LAG_RECORDS,
        lag_s=metrics.LAG_S,
        finish_timeout_s=settings.revoke_timeout_s,
    )
