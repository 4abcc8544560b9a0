"""Provide a meter for each project with limits."""

from __future__ import annotations

import time

from producers.control.auth import Principal
from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.gateway.limits.effective import effective_limits
from producers.gateway.limits.meter import Meter
from producers.gateway.limits.quota import Quota
from producers.settings import LimitsSettings
from producers.usage.counts import UsageCounts


class ProjectLimits:
    """Create, cache and return the meters of callers.

    Requests with only a public key have a separate meter: the key is not secret, and others could
    otherwise use up the rates of the project.
    """

    def __init__(self, settings: LimitsSettings, control: ControlLog, usage: UsageCounts) -> None:
        """Create no meters yet; ``usage`` has the counts for quotas."""
        self._usage = usage
        self.now_s = time.monotonic
        self._settings = settings
        self._view = control.view
        self._meters: dict[str, Meter | None] = {}
        """Meters by ``quota_key``; None: without limits. Empty if no project has limits."""
        self._unlimited: dict[str, Meter] = {}
        """Meters of projects without limits, which are used again if limits are set."""
        self._has_limits = self._any_limits()
        control.subscribe(self._control_changed)

    def meter_of(self, principal: Principal) -> Meter | None:
        """Return the meter of a caller; None if it has no limits."""
        if not self._has_limits:
            return None
        quota_key = principal.quota_key
        try:
            return self._meters[quota_key]
        except KeyError:
            meter = self._meters[quota_key] = self._new_meter(principal.project_id, quota_key)
            return meter

    def _new_meter(self, project_id: str, quota_key: str) -> Meter | None:
        """Return a meter with the current limits; None if there are none."""
        limits = effective_limits(self._view[Limits].get(project_id), self._settings)
        quota = None
        # Requests with only a public key are not in quotas, because others could use these up.
        if limits.has_quota and quota_key == project_id:
            quota = Quota(quota_key, limits, self._usage)
        meter = self._unlimited.pop(quota_key, None)
        if meter is not None:
            meter.change(limits, quota)
        elif limits.has_rates or quota is not None:
            meter = Meter(limits, self._settings.gateways, self.now_s, quota)
        if meter is not None and not meter.is_needed:
            self._unlimited[quota_key] = meter
            return None
        return meter

    def _any_limits(self) -> bool:
        defaults = effective_limits(None, self._settings)
        return defaults.has_rates or defaults.has_quota or bool(self._view[Limits])

    def _control_changed(self, change: Change) -> None:
        """Apply changed limits to the meters of a project, which keep what was used.

        The meters of a project that is being deleted are removed.
        """
        if isinstance(change, Project) and change.state != "active":
            for quota_key in self._keys_of(change.id):
                self._meters.pop(quota_key, None)
                self._unlimited.pop(quota_key, None)
            self._usage.forget(change.id)
        elif change.kind == Limits.kind:
            for quota_key in self._keys_of(change.id):
                meter = self._meters.pop(quota_key, None)
                if meter is not None:
                    self._unlimited[quota_key] = meter
                self._meters[quota_key] = self._new_meter(change.id, quota_key)
            self._has_limits = self._any_limits()

    def _keys_of(self, project_id: str) -> list[str]:
        """Return the keys under which a project has meters."""
        return [
            quota_key
            for quota_key in {**self._meters, **self._unlimited}
            if quota_key.partition(" ")[0] == project_id
        ]
