"""Create, change and delete projects."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from producers.control.auth import Principal
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.errors import ControlConflictError
from query_api.errors import BadRequestError, ConflictError, NotFoundError
from query_api.quota import Quota
from tracemill.clock import now_us

METADATA_CHARS_MAX: Final = 10_000
"""Maximum length of a project's metadata as JSON."""


class Projects:
    """The projects of the installation."""

    def __init__(self, control: ControlLog, projects_max: int) -> None:
        self._control = control
        self._quota = Quota("projects", "projects_max", projects_max)

    def visible_to(self, principal: Principal) -> list[Project]:
        """Return the projects that a caller may see, oldest first.

        The installation's admin may see all projects, and others only their own.
        """
        every = self._control.view[Project].values()
        seen = [each for each in every if principal.owner in (None, each.id)]
        return sorted(seen, key=lambda each: each.position)

    def find(self, principal: Principal, project_id: str) -> Project:
        """Return a project.

        Raises:
            NotFoundError: there is no such project that the caller may see.
        """
        found = self._control.view[Project].get(project_id)
        if found is None or principal.owner not in (None, found.id):
            raise NotFoundError(f"no project {project_id!r}")
        return found

    async def create(self, name: str, metadata: dict[str, Any], project_id: str = "") -> Project:
        """Create a project; generate an id if none is given.

        Raises:
            ConflictError: the id is taken, or there are too many projects.
            ControlConflictError: the name is taken.
            BadRequestError: the metadata is too large.
            ControlError: as ``ControlLog.create``.
        """
        project = Project(
            id=project_id or f"prj_{secrets.token_hex(12)}",
            name=name,
            metadata=_metadata_text(metadata),
            created_us=now_us(),
        )
        every = self._control.view[Project]
        if project.id in every:
            raise ConflictError(
                f"there is a project {project.id!r}{_if_deleted(every[project.id])}"
            )
        self._refuse_taken_name(project)
        active = {each.id: each for each in every.values() if each.state == "active"}
        with self._quota.taken_by(project, active):
            await self._control.create(project)
        return project

    async def change(
        self,
        project_id: str,
        *,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
        expected: int | None = None,
    ) -> Project:
        """Change the given fields of a project.

        Raises:
            NotFoundError: there is no such project.
            ControlConflictError: the project was deleted, or the name is taken.
            BadRequestError: the metadata is too large.
            ControlError: as ``ControlLog.update``.
        """
        given: dict[str, Any] = {}
        if name is not None:
            given["name"] = name
        if metadata is not None:
            given["metadata"] = _metadata_text(metadata)

        def changed(project: Project) -> Project:
            if project.state != "active":
                raise ControlConflictError(f"project {project_id!r}{_if_deleted(project)}")
            renamed = project.model_copy(update=given)
            self._refuse_taken_name(renamed)
            return renamed

        return await self._update(project_id, changed, expected)

    async def delete(self, project_id: str, *, expected: int | None = None) -> Project:
        """Begin to delete a project; its keys are refused immediately.

        Deleting a project again changes nothing.

        Raises:
            NotFoundError: there is no such project.
            ControlError: as ``ControlLog.update``.
        """

        def deleting(project: Project) -> Project:
            if project.state != "active":
                return project
            return project.model_copy(update={"state": "deleting", "deleting_since_us": now_us()})

        return await self._update(project_id, deleting, expected)

    async def _update(self, project_id: str, changed: Any, expected: int | None) -> Project:
        written = await self._control.update(Project, project_id, changed, expected=expected)
        if written is None:
            raise NotFoundError(f"no project {project_id!r}")
        return written

    def _refuse_taken_name(self, project: Project) -> None:
        holder = self._control.view.by_unique_key(Project, f"name:{project.name}")
        if holder is not None and holder.id != project.id:
            raise ControlConflictError(f"project {holder.id!r} has the name {project.name!r}")


def metadata_of(project: Project) -> dict[str, Any]:
    """Return a project's metadata."""
    return msgspec.json.decode(project.metadata, type=dict[str, Any])


def _metadata_text(metadata: dict[str, Any]) -> str:
    try:
        text = msgspec.json.encode(metadata).decode()
    except (UnicodeEncodeError, RecursionError, OverflowError) as error:
        raise BadRequestError(f"metadata: {error}", field="metadata") from error
    if len(text) > METADATA_CHARS_MAX:
        raise BadRequestError(
            f"metadata: has {len(text)} characters as JSON; the maximum is {METADATA_CHARS_MAX}",
            field="metadata",
        )
    return text


def _if_deleted(project: Project) -> str:
    return "" if project.state == "active" else ", which was deleted"
