"""``prompt_event``: write the events about changes of prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.control.kinds.prompt import prompt_id
from producers.control.kinds.prompt_change import PromptChange
from producers.control.record import Change
from producers.notifications.prompt_event import PromptEvent, alerts_of_change
from streams.core.jobs.book import Job
from streams.core.jobs.state import Outcome, Succeeded
from streams.jobs.alert_writer import AlertWriter
from streams.jobs.kind import ControlJobKind, JobContext
from streams.jobs.settings import JobSettings


class PromptEventSettings(JobSettings, BaseSettings):
    """Limits of writing events about prompts."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_PROMPT_EVENTS_", frozen=True)

    retry_schedule_s: tuple[float, ...] = (1, 5, 30, 300, 3_600)
    """Pauses between attempts. A job that fails after the last pause becomes a dead letter."""
    attempt_timeout_s: float = 30.0
    """Time limit of one attempt; an attempt that exceeds it has failed."""


@dataclass(frozen=True, slots=True)
class PromptEventJob(Job):
    """The job of one change."""

    change: PromptChange


class PromptEvents(ControlJobKind[PromptEventJob]):
    """The kind ``prompt_event``: one job per change. A repeated attempt writes the same alerts."""

    name = "prompt_event"
    settings = PromptEventSettings

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._writer = AlertWriter(context.kafka)
        self._actions = {
            name: event_type.action
            for name, event_type in context.event_types.items()
            if isinstance(event_type, PromptEvent)
        }

    def jobs_of_change(self, change: Change) -> Iterable[PromptEventJob]:
        """Return the job of a change; the jobs of a prompt are attempted in order."""
        if not isinstance(change, PromptChange):
            return ()
        prompt = prompt_id(change.project_id, change.name)
        return (
            PromptEventJob(
                id=change.id,
                target=prompt,
                project_id=change.project_id,
                created_us=change.created_us,
                order_key=prompt,
                change=change,
            ),
        )

    async def attempt(self, job: PromptEventJob) -> Outcome:
        """1. Write the alerts. 2. Remove the change."""
        for alert in alerts_of_change(job.change, self._actions):
            await self._writer.write(alert, self.context.event_types[alert.event])
        await self.context.control.delete(PromptChange.kind, job.change.id)
        return Succeeded()

    def payload_of(self, job: PromptEventJob) -> bytes:
        """Return the change."""
        return job.change.model_dump_json().encode()

    async def close(self) -> None:
        """Disconnect."""
        await self._writer.close(self.limits.stop_timeout_s)
