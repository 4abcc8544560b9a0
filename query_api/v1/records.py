"""Create, change, replace and delete the records of a resource, for routes and for the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from producers.control.record import ControlRecord
from query_api.context import AppContext
from query_api.errors import NotFoundError
from query_api.quota import Quota
from query_api.settings import limit_setting
from query_api.v1.etags import Precondition, expected_version

if TYPE_CHECKING:
    from query_api.v1.crud import Resource

RecordT = TypeVar("RecordT", bound=ControlRecord)
BodyT = TypeVar("BodyT", bound=BaseModel)


def quota_of(context: AppContext, record: type[ControlRecord]) -> Quota:
    """Return the quota of records that have no resource, the same for all callers."""
    setting = limit_setting(record)
    return context.shared(  # type: ignore[no-any-return]
        (Quota, setting),
        lambda: Quota(record.plural, setting, getattr(context.settings, setting)),
    )


class Records(Generic[RecordT, BodyT]):
    """Write the records of one resource. An owner is a project, or None: the installation.

    An application has one object for each resource, so that the quota counts all writes.
    """

    def __init__(self, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
        self._context = context
        self._resource = resource
        self._make = resource.create(context)
        change = resource.change
        self._check = None if change is None or change.check is None else change.check(context)
        check = resource.check_replacement
        self._check_replacement = None if check is None else check(context)
        record = resource.record
        setting = resource.limit_setting or limit_setting(record)
        limit = getattr(context.settings, setting, record.per_project_max)
        self._quota = None if limit is None else Quota(record.plural, setting, limit)

    def of(self, owner: str | None) -> list[RecordT]:
        """Return the records of an owner, oldest first."""
        held = self._context.control.view.in_project(self._resource.record, owner)
        return sorted(held.values(), key=lambda each: each.position)

    def find(self, owner: str | None, record_id: str) -> RecordT:
        """Return a record of an owner.

        Raises:
            NotFoundError: the owner has no such record.
        """
        return find(self._context, self._resource.record, owner, record_id)

    async def create(self, owner: str | None, body: BodyT, author: str) -> RecordT:
        """Create the record that a body describes. ``author`` is the public key of the caller.

        Raises:
            BadRequestError: the body is invalid.
            ConflictError: the owner has too many records.
            ControlError: the control log does not respond, or refuses the record.
        """
        control = self._context.control
        made = _by(author, await self._make(owner, body))  # type: ignore[arg-type]  # as the resource declares it
        if self._quota is None:
            await control.create(made)
        else:
            with self._quota.taken_by(made, control.view.in_project(self._resource.record, owner)):
                await control.create(made)
        return made

    async def change(
        self,
        owner: str | None,
        record_id: str,
        body: BaseModel,
        author: str,
        if_match: Precondition | None = None,
    ) -> RecordT:
        """Change those fields of a record that are in a body.

        Raises:
            BadRequestError: the body is invalid.
            NotFoundError: the owner has no such record, or it cannot be changed.
            ControlVersionError: the record does not meet the precondition.
            ControlError: as ``create``.
        """
        change, held = self._resource.change, self.find(owner, record_id)
        if change is None:
            raise NotFoundError(f"records of the kind {held.kind} cannot be changed")
        if self._check is not None:
            await self._check(body, held)
        return await self._write(
            held, if_match, lambda found: _by(author, change.apply(found, body))
        )

    async def replace(
        self,
        owner: str | None,
        record_id: str,
        body: BodyT,
        author: str,
        if_match: Precondition | None = None,
    ) -> RecordT:
        """Replace all fields of a record. Raises like ``change``."""
        replace, held = self._resource.replace, self.find(owner, record_id)
        if replace is None:
            raise NotFoundError(f"records of the kind {held.kind} cannot be replaced")
        if self._check_replacement is not None:
            await self._check_replacement(body, held)
        return await self._write(held, if_match, lambda found: _by(author, replace(found, body)))

    async def delete(
        self, owner: str | None, record_id: str, if_match: Precondition | None = None
    ) -> None:
        """Delete a record. Raises like ``change``."""
        held, control = self.find(owner, record_id), self._context.control
        expected = await expected_version(control, type(held), held.id, if_match)
        await control.delete(held.kind, held.id, expected=expected)

    async def _write(
        self,
        held: RecordT,
        if_match: Precondition | None,
        changed: Callable[[RecordT], RecordT],
    ) -> RecordT:
        control, record = self._context.control, self._resource.record
        expected = await expected_version(control, record, held.id, if_match)
        written = await control.update(record, held.id, changed, expected=expected)
        if written is None:
            raise _missing(record, held.id)
        return written


def records_of(context: AppContext, resource: Resource[RecordT, BodyT]) -> Records[RecordT, BodyT]:
    """Return the object that writes the records of a resource in this application."""
    key = (Records, resource.path)
    found: Records[RecordT, BodyT] = context.shared(key, lambda: Records(context, resource))
    return found


def find(context: AppContext, record: type[RecordT], owner: str | None, record_id: str) -> RecordT:
    """Return a record of a project, or of the installation.

    Raises:
        NotFoundError: the owner has no such record.
    """
    found = context.control.view.in_project(record, owner).get(record_id)
    if found is None:
        raise _missing(record, record_id)
    return found


def _missing(record: type[Any], record_id: str) -> NotFoundError:
    return NotFoundError(f"no {record.kind.replace('_', ' ')} {record_id!r}")


def _by(author: str, record: RecordT) -> RecordT:
    """Return a record with the author of its last change, if its kind has one.

    An author that the body named remains.
    """
    if getattr(record, "author", None) != "":
        return record
    return record.model_copy(update={"author": author})
