"""Tokens of the console that must not be used again, in any process."""

from __future__ import annotations

from producers.control.record import Microseconds, ProjectRecord


class SpentToken(ProjectRecord):
    """A link to sign in that was used, or a session that was ended by a sign-out.

    The id is derived from that of the token. After ``expires_us``, the token is refused anyway, and
    the record is deleted.
    """

    kind = "spent_token"
    per_project_max = 5_000

    expires_us: Microseconds
    created_us: Microseconds
