"""``alert_test``: write the test alerts that were requested for rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.alerting.trial_alerts import alert_of_test
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.alert_test import AlertTest
from producers.control.record import Change
from streams.core.jobs.book import Job
from streams.core.jobs.state import Dropped, Outcome, Succeeded
from streams.jobs.alert_writer import AlertWriter
from streams.jobs.kind import ControlJobKind, JobContext
from streams.jobs.settings import JobSettings


class AlertTestSettings(JobSettings, BaseSettings):
    """Limits of writing test alerts."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_ALERT_TESTS_", frozen=True)

    retry_schedule_s: tuple[float, ...] = (1, 5, 30)
    """Pauses between attempts. A job that fails after the last pause becomes a dead letter."""
    attempt_timeout_s: float = 30.0
    """Time limit of one attempt; an attempt that exceeds it has failed."""


@dataclass(frozen=True, slots=True)
class AlertTestJob(Job):
    """The job of one request."""

    test: AlertTest


class AlertTests(ControlJobKind[AlertTestJob]):
    """The kind ``alert_test``: one job per request. A repeated attempt writes the same alert."""

    name = "alert_test"
    settings = AlertTestSettings

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._writer = AlertWriter(context.kafka)

    def jobs_of_change(self, change: Change) -> Iterable[AlertTestJob]:
        """Return the job of a request."""
        if not isinstance(change, AlertTest):
            return ()
        return (
            AlertTestJob(
                id=change.id,
                target=change.rule_id,
                project_id=change.project_id,
                created_us=change.created_us,
                test=change,
            ),
        )

    async def attempt(self, job: AlertTestJob) -> Outcome:
        """1. Write the alert. 2. Remove the request."""
        control = self.context.control
        rule = control.view.in_project(AlertRule, job.project_id).get(job.test.rule_id)
        if rule is not None:
            alert = alert_of_test(job.test, rule)
            await self._writer.write(alert, self.context.event_types[alert.event])
        await control.delete(AlertTest.kind, job.test.id)
        return Dropped("the rule is deleted") if rule is None else Succeeded()

    def payload_of(self, job: AlertTestJob) -> bytes:
        """Return the request."""
        return job.test.model_dump_json().encode()

    async def close(self) -> None:
        """Disconnect."""
        await self._writer.close(self.limits.stop_timeout_s)
