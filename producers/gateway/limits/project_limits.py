"""Keeps a meter for each project that has limits."""

from __future__ import annotations

import time

from producers.control.auth import Principal
from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.gateway.limits.effective import effective_limits
from producers.gateway.limits.meter import Meter
from producers.settings import LimitsSettings


class ProjectLimits:
    """Finds the meter of a request. Without limits that is one look-up in a dictionary.

    Requests with only a public key have a meter of their own: such a key is known to others, who
    could otherwise use up the rates of the project.
    """

    def __init__(self, settings: LimitsSettings, control: ControlLog) -> None:
        self.now_s = time.monotonic
        self._settings = settings
        self._view = control.view
        self._meters: dict[str, Meter | None] = {}
        """By share; empty while nothing has limits. None: no limits."""
        self._has_limits = self._any_limits()
        control.subscribe(self._control_changed)

    def meter_of(self, principal: Principal) -> Meter | None:
        """Return the meter of a caller; None: it has no limits."""
        if not self._has_limits:
            return None
        share = principal.quota_key
        try:
            return self._meters[share]
        except KeyError:
            own = self._view[Limits].get(principal.project_id)
            limits = effective_limits(own, self._settings)
            meter = Meter(limits, self._settings.gateways, self.now_s) if limits else None
            self._meters[share] = meter
            return meter

    def _any_limits(self) -> bool:
        return bool(effective_limits(None, self._settings)) or bool(self._view[Limits])

    def _control_changed(self, change: Change) -> None:
        """Begin anew with the limits that a project has now; what it owed is forgotten."""
        if change.kind not in {Limits.kind, Project.kind}:
            return
        for share in [each for each in self._meters if each.partition(" ")[0] == change.id]:
            del self._meters[share]
        self._has_limits = self._any_limits()
