"""Define the settings of the stage that places events without a trace id."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.core.placement.waiting import WaitingLimits

MIB: Final = 1024 * 1024
SECOND_US: Final = 1_000_000


class PlacementSettings(BaseSettings):
    """Limits of looking up the traces of events that name only their observation.

    Such events are updates of older SDKs, and scores.
    ``tracemill_placement_limit_reached_total`` counts by name how often a limit was reached.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_PLACEMENT_", frozen=True)

    wait_max_s: float = Field(600.0, ge=0, le=7 * 86_400)
    """Maximum time that an event waits for its observation. After it, and when all events accepted
    before it are stored, the event is placed in its own trace."""
    waiting_max: int = Field(20_000, ge=1)
    """Maximum waiting events. Above it, the oldest event of the project with the most waiting
    events is placed in its own trace."""
    waiting_bytes_max: int = Field(64 * MIB, ge=1 * MIB)
    """Maximum size of all waiting events. Above it, events are placed in the same way."""
    inbox_records_max: int = Field(16, ge=1)
    """Maximum records that are read but not looked up. At the limit, reading pauses."""
    lookup_events_max: int = Field(500, ge=1, le=10_000)
    """Maximum events that one query of the store looks up."""
    lookup_pause_s: float = Field(0.2, gt=0)
    """Time between the first and the second lookup of an event. It doubles with each lookup."""
    lookup_pause_max_s: float = Field(10.0, gt=0)
    """Maximum time between two lookups of an event."""
    recent_days: int = Field(2, ge=1)
    """Number of recent days in which an observation is searched, by its start. The third and the
    last lookup of an event search all days."""
    record_age_max_s: float = Field(30.0, gt=0)
    """Age of a record above which its waiting events are written to the topic again, so that the
    offset of the record, and later ones, can be committed."""
    store_retry_s: float = Field(0.2, gt=0)
    """First pause before a failed query of the store is repeated. Each further pause is twice as
    long."""
    store_retry_max_s: float = Field(5.0, gt=0)
    """Maximum pause between two attempts of a query of the store."""
    progress_poll_s: float = Field(1.0, gt=0)
    """Interval of checking whether events accepted before are stored."""
    revoke_timeout_s: float = Field(5.0, gt=0)
    """Time limit for pending writes when the partition is revoked or the worker stops."""

    @property
    def limits(self) -> WaitingLimits:
        return WaitingLimits(
            wait_max_us=round(self.wait_max_s * SECOND_US),
            waiting_max=self.waiting_max,
            waiting_bytes_max=self.waiting_bytes_max,
            lookup_events_max=self.lookup_events_max,
            first_pause_us=round(self.lookup_pause_s * SECOND_US),
            pause_max_us=round(self.lookup_pause_max_s * SECOND_US),
            record_age_max_us=round(self.record_age_max_s * SECOND_US),
        )
