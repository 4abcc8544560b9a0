"""Keep a meter for each project that has limits."""

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
    """Return the meter of a request, at the cost of one look-up in a dictionary.

    Requests with only a public key have a meter of their own: such a key is known to others, who
    could otherwise use up the rates of the project.
    """

    def __init__(self, settings: LimitsSettings, control: ControlLog, usage: UsageCounts) -> None:
        """``usage`` counts what quotas limit."""
        self._usage = usage
        self.now_s = time.monotonic
        self._settings = settings
        self._view = control.view
        self._meters: dict[str, Meter | None] = {}
        """By ``quota_key``; None: without limits. Empty while no project has limits."""
        self._has_limits = self._any_limits()
        control.subscribe(self._control_changed)

    def meter_of(self, principal: Principal) -> Meter | None:
        """Return the meter of a caller; None: it has no limits."""
        if not self._has_limits:
            return None
        quota_key = principal.quota_key
        try:
            return self._meters[quota_key]
        except KeyError:
            own = self._view[Limits].get(principal.project_id)
            limits = effective_limits(own, self._settings)
            quota = None
            # A quota is not for requests with only a public key: others could use it up.
            if limits.has_quota and quota_key == principal.project_id:
                quota = Quota(quota_key, limits, self._usage)
            meter = None
            if limits.has_rates or quota is not None:
                meter = Meter(limits, self._settings.gateways, self.now_s, quota)
            self._meters[quota_key] = meter
            return meter

    def _any_limits(self) -> bool:
        defaults = effective_limits(None, self._settings)
        return defaults.has_rates or defaults.has_quota or bool(self._view[Limits])

    def _control_changed(self, change: Change) -> None:
        """Reset the meters of a project whose limits changed, so that the new ones apply."""
        if change.kind not in {Limits.kind, Project.kind}:
            return
        for quota_key in [each for each in self._meters if each.partition(" ")[0] == change.id]:
            del self._meters[quota_key]
        if isinstance(change, Project) and change.state != "active":
            self._usage.forget(change.id)
        self._has_limits = self._any_limits()
