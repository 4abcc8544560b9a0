"""Requests of test alerts, which a job fulfils and removes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from producers.control.record import Microseconds, ProjectRecord


class AlertTest(ProjectRecord):
    """A request for an alert of a rule that is marked as a test."""

    kind = "alert_test"
    per_project_max = 20

    rule_id: str = Field(min_length=1, max_length=128)
    event: Literal["alert.firing", "alert.resolved", "alert.no_data"] = "alert.firing"
    author: str = Field("", max_length=255)
    created_us: Microseconds
