"""Probes that several roles share."""

from __future__ import annotations

from clickhouse.errors import StoreError
from clickhouse.store import Store
from deploy.probes import Probe


def store_answers(store: Store) -> Probe:
    """The store takes queries."""

    async def probe() -> str | None:
        try:
            await store.ping()
        except StoreError as error:
            return f"the store does not answer: {error}"
        return None

    return probe
