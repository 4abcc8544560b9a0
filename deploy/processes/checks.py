"""Create the probes that several roles use."""

from __future__ import annotations

from clickhouse.errors import StoreError
from clickhouse.store import Store
from deploy.probes import Probe
from producers.control.log import ControlLog
from producers.disk import DiskFloor
from producers.errors import ControlUnavailableError
from producers.gateway.publisher import EventPublisher


def store_answers(store: Store) -> Probe:
    """Return a probe that checks that the store answers queries."""

    async def probe() -> str | None:
        try:
            await store.ping()
        except StoreError as error:
            return f"the store does not answer: {error}"
        return None

    return probe


def broker_answers(publisher: EventPublisher) -> Probe:
    """Return a probe that checks that the broker responds."""

    async def probe() -> str | None:
        return None if await publisher.broker_answers() else "the broker does not answer"

    return probe


def control_is_current(control: ControlLog) -> Probe:
    """Return a probe that checks that the control plane's log can be read to its end."""

    async def probe() -> str | None:
        try:
            await control.caught_up()
        except ControlUnavailableError as error:
            return str(error)
        return None

    return probe


def disk_has_room(disk: DiskFloor) -> Probe:
    """Return a probe that checks that the watched file systems have enough free space."""

    async def probe() -> str | None:
        return disk.reason()

    return probe
