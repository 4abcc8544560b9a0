"""Create, rotate and revoke the API keys of projects."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.control.keys import new_api_key, new_public_key, new_secret, with_secret
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.scopes import DEFAULT_SCOPES, Scope
from query_api.errors import ConflictError, NotFoundError
from query_api.quota import Quota
from query_api.times import SECOND_US, iso
from tracemill.clock import now_us


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key and its secret, which is shown once and not stored."""

    key: ApiKey
    secret: str = field(repr=False)


class Keys:
    """Finds, creates, rotates and revokes the API keys of projects."""

    def __init__(self, control: ControlLog, per_project_max: int) -> None:
        self._control = control
        self._quota = Quota("api keys", "api_keys_per_project_max", per_project_max)

    def of(self, project: Project) -> list[ApiKey]:
        """Return the keys of a project, oldest first."""
        found = self._control.view.in_project(ApiKey, project.id).values()
        return sorted(found, key=lambda each: each.position)

    def find(self, project: Project, key_id: str) -> ApiKey:
        """Return a key of a project.

        Raises:
            NotFoundError: the project has no such key.
        """
        found = self._control.view.in_project(ApiKey, project.id).get(key_id)
        if found is None:
            raise NotFoundError(f"no key {key_id!r}")
        return found

    async def issue(
        self,
        project: Project,
        *,
        scopes: Sequence[Scope] = DEFAULT_SCOPES,
        expires_at_us: int | None = None,
        note: str = "",
        public_key: str = "",
        secret: str = "",
    ) -> IssuedKey:
        """Create a key of a project; generate the public key and the secret if not given.

        Raises:
            ConflictError: the project was deleted or has too many keys, or the public key is taken.
            ControlError: as ``ControlLog.create``.
        """
        if project.state != "active":
            raise ConflictError(f"project {project.id!r} was deleted")
        secret = secret or new_secret()
        key = new_api_key(
            key_id=f"key_{secrets.token_hex(12)}",
            project_id=project.id,
            public_key=public_key or new_public_key(),
            secret=secret,
            created_us=now_us(),
            note=note,
            scopes=scopes,
            expires_at_us=expires_at_us,
        )
        if self._control.view.by_unique_key(ApiKey, key.unique_keys()[0]) is not None:
            raise ConflictError(f"the public key {key.public_key!r} is taken")
        with self._quota.taken_by(key, self._control.view.in_project(ApiKey, project.id)):
            await self._control.create(key)
        return IssuedKey(key, secret)

    async def rotate(self, project: Project, key_id: str, *, overlap_s: int = 0) -> IssuedKey:
        """Replace the secret of a key; the previous one remains valid for ``overlap_s``.

        Raises:
            NotFoundError: the project has no such key.
            ConflictError: the key has expired.
            ControlError: as ``ControlLog.update``.
        """
        expires_at_us = self.find(project, key_id).expires_at_us
        if expires_at_us is not None and expires_at_us <= now_us():
            raise ConflictError(f"key {key_id!r} expired at {iso(expires_at_us)}; create a new key")
        secret = new_secret()
        until_us = now_us() + overlap_s * SECOND_US if overlap_s else None
        rotated = await self._control.update(
            ApiKey,
            key_id,
            lambda key: with_secret(key, secret, previous_valid_until_us=until_us),
        )
        if rotated is None:
            raise NotFoundError(f"no key {key_id!r}")
        return IssuedKey(rotated, secret)

    async def revoke(self, project: Project, key_id: str) -> None:
        """Delete a key; later requests with it are refused.

        Raises:
            NotFoundError: the project has no such key.
            ControlError: as ``ControlLog.delete``.
        """
        self.find(project, key_id)
        await self._control.delete(ApiKey.kind, key_id)
