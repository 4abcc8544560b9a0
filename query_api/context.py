"""Define what the routes share, and authenticate requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from clickhouse.store import Store
from producers.control.auth import Authenticator, authorization_of, note_authenticated
from producers.control.log import ControlLog
from producers.errors import ForbiddenError
from producers.notifications.registry import EventTypes
from query_api.answers import Documented
from query_api.settings import QuerySettings
from query_api.store.reader import Reader


@dataclass(frozen=True, slots=True)
class AppContext:
    store: Store
    reader: Reader
    control: ControlLog
    authenticator: Authenticator
    settings: QuerySettings
    documented: Documented
    event_types: EventTypes


async def project_of(request: Request) -> str:
    """Return the project of a request's credential, which is the only source of project ids.

    Raises:
        UnauthorizedError: There is no credential, more than one, or an unknown one.
        ForbiddenError: The credential is a public key alone, which may not read.
    """
    context: AppContext = request.app.state.context
    principal = context.authenticator.authenticate(authorization_of(request.scope["headers"]))
    note_authenticated(request.scope, principal)
    if principal.scope != "project":
        raise ForbiddenError("Access Scope Denied")
    return principal.project_id


ProjectId = Annotated[str, Depends(project_of)]
