"""Remember which tokens must not be used again, for all query processes and across restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Literal

from producers.control.kinds.spent_token import SpentToken
from producers.control.log import ControlLog
from producers.errors import ControlConflictError
from query_api.quota import Quota
from query_api.settings import QuerySettings, limit_setting

Purpose = Literal["link", "session"]
DELETED_AT_ONCE: Final = 20
"""Maximum number of expired records that are deleted when another one is created."""
_ID_BYTES: Final = 16


class SpentTokens:
    """The tokens that were spent, in the control log."""

    def __init__(
        self, control: ControlLog, settings: QuerySettings, now_us: Callable[[], int]
    ) -> None:
        setting = limit_setting(SpentToken)
        self._control = control
        self._now_us = now_us
        self._quota = Quota(SpentToken.plural, setting, getattr(settings, setting))

    def is_spent(self, purpose: Purpose, token_id: str) -> bool:
        """Return whether this process knows that a token was spent."""
        return _record_id(purpose, token_id) in self._control.view[SpentToken]

    async def spend(
        self, purpose: Purpose, token_id: str, project_id: str, expires_us: int
    ) -> bool:
        """Spend a token, and return whether this call was the first one, of all processes.

        Raises:
            ConflictError: the project has too many tokens that are spent and not expired.
            ControlUnavailableError: the control log does not respond.
        """
        record = SpentToken(
            id=_record_id(purpose, token_id),
            project_id=project_id,
            expires_us=expires_us,
            created_us=self._now_us(),
        )
        if self.is_spent(purpose, token_id):
            return False
        await self._delete_expired(project_id)
        kept = self._control.view.in_project(SpentToken, project_id)
        try:
            with self._quota.taken_by(record, kept):
                await self._control.create(record)
        except ControlConflictError:
            return False
        return True

    async def _delete_expired(self, project_id: str) -> None:
        at_us = self._now_us()
        kept = self._control.view.in_project(SpentToken, project_id).values()
        expired = [each for each in kept if each.expires_us <= at_us]
        for each in expired[:DELETED_AT_ONCE]:
            await self._control.delete(each.kind, each.id)


def _record_id(purpose: Purpose, token_id: str) -> str:
    digest = hashlib.blake2b(f"{purpose} {token_id}".encode(), digest_size=_ID_BYTES)
    return f"spent_{digest.hexdigest()}"
