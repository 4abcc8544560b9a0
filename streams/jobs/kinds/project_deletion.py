"""``project_deletion``: delete projects that are in the state ``deleting``."""

from __future__ import annotations

from collections.abc import Iterable

from producers.control.kinds.project import Project
from producers.control.record import Change
from streams.core.jobs.book import Job
from streams.core.jobs.state import Outcome, Succeeded
from streams.deletion.project_deletion import ProjectDeletion
from streams.deletion.settings import DeletionSettings
from streams.jobs.kind import ControlJobKind, JobContext


class ProjectDeletions(ControlJobKind[Job]):
    """The kind ``project_deletion``: one job per project in the state ``deleting``."""

    name = "project_deletion"
    settings = DeletionSettings

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        assert context.store is not None, "deleting rows needs the store"
        self._store = context.store

    def jobs_of_change(self, change: Change) -> Iterable[Job]:
        """Return the deletion of a project in the state ``deleting``."""
        if not isinstance(change, Project) or change.state != "deleting":
            return ()
        since_us = change.deleting_since_us or change.created_us
        return (
            Job(
                id=f"{change.id}/{since_us}",
                target=change.id,
                project_id=change.id,
                created_us=since_us,
            ),
        )

    async def attempt(self, job: Job) -> Outcome:
        """Delete the project."""
        context = self.context
        deletion = ProjectDeletion(
            job.target, context.kafka, context.control, self._store, context.settings
        )
        await deletion.run()
        return Succeeded()

    def payload_of(self, job: Job) -> bytes:
        """Return the project's id."""
        return job.target.encode()
