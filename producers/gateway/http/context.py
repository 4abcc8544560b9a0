"""Define what all endpoints of the gateway share."""

from __future__ import annotations

from dataclasses import dataclass

from producers.control.auth import Authenticator
from producers.disk import DiskFloor
from producers.gateway.http.admission import AdmissionGate
from producers.gateway.http.in_flight import InFlightBytes
from producers.gateway.limits.project_limits import ProjectLimits
from producers.gateway.publisher import EventPublisher
from producers.gateway.recent_traces import RecentTraces
from producers.gateway.score_configs import ScoreConfigs
from producers.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """The settings and services of the gateway."""

    settings: GatewaySettings
    authenticator: Authenticator
    publisher: EventPublisher
    in_flight: InFlightBytes
    admission: AdmissionGate
    disk: DiskFloor
    limits: ProjectLimits
    recent_traces: RecentTraces
    score_configs: ScoreConfigs
