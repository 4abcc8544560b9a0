"""Define what all routes share, and authenticate requests."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol

from fastapi import Depends
from starlette.requests import Request

from clickhouse.store import Store
from producers.control.auth import (
    DENIED,
    Authenticator,
    Principal,
    authorization_of,
    note_authenticated,
)
from producers.control.log import ControlLog
from producers.control.scopes import Scope
from producers.errors import ForbiddenError
from producers.notifications.registry import EventTypes
from producers.settings import LimitsSettings
from producers.usage.counts import UsageCounts
from query_api.alerting.backtests import Backtester
from query_api.budgets.backtests import BudgetBacktester
from query_api.decisions.book import DecisionBook
from query_api.documents.documents import Documents
from query_api.event_stream.hub import EventHub
from query_api.health.topic_rates import TopicProgress
from query_api.jobs.states import JobStates
from query_api.media.store import MediaStore
from query_api.prices.defaults import DefaultPriceList
from query_api.prices.explained import PriceExplainer
from query_api.prometheus.sketches import SketchCounts
from query_api.prompts.library import PromptLibrary
from query_api.query.engine import QueryEngine
from query_api.quota import Quota
from query_api.responses import Documented
from query_api.settings import QuerySettings
from query_api.store.reader import Reader
from query_api.tenants.keys import Keys
from query_api.tenants.projects import Projects
from query_api.tenants.tiers import Tiers


class SendScores(Protocol):
    """Send scores as a caller, like ``POST /api/public/scores``.

    Raises:
        RequestError: the scores are refused, or a limit of the project is reached.
        OverloadedError, UndeliveredError: they were not accepted; the caller may repeat them.
    """

    async def __call__(self, principal: Principal, body: bytes) -> None: ...


PageQuery = Callable[[str, QuerySettings], str]
"""Return the query string of a page without what it ignores; one that it refuses is a
``BadRequestError``."""


@dataclass(frozen=True, slots=True)
class AppContext:
    store: Store
    reader: Reader
    control: ControlLog
    authenticator: Authenticator
    settings: QuerySettings
    documented: Documented
    event_types: EventTypes
    projects: Projects
    keys: Keys
    default_prices: DefaultPriceList
    explainer: PriceExplainer
    sketch_counts: SketchCounts
    limits: LimitsSettings
    """The default limits of projects."""
    usage: UsageCounts
    backtester: Backtester
    budget_backtester: BudgetBacktester
    tiers: Tiers
    documents: Documents
    prompts: PromptLibrary
    media: MediaStore | None
    """None: neither a directory nor a bucket for media is set."""
    decisions: DecisionBook | None
    """None: this process does not decide about calls."""
    query_engine: QueryEngine
    score_config_quota: Quota
    send_scores: SendScores | None
    """Sends the body of ``POST /api/public/scores``; None: this process cannot."""
    events: EventHub | None
    """None: this process does not follow events."""
    pipeline: Callable[[], Sequence[TopicProgress]]
    """Returns the progress of each stage; nothing if it is unknown."""
    jobs: JobStates
    page_queries: Mapping[str, PageQuery]
    """The pages of the console of which views are saved."""
    _shared: dict[Hashable, Any] = field(default_factory=dict)

    def shared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the object that ``make`` creates at the first call with a key.

        Routes and the console share what limits or remembers requests in this way. Keys are written
        in the code, so their number is limited.
        """
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


def authenticated(request: Request) -> Principal:
    """Return the caller of a request, whatever its scopes.

    Raises:
        UnauthorizedError: there is no credential, more than one, or an unknown one.
    """
    context: AppContext = request.app.state.context
    principal = context.authenticator.authenticate(authorization_of(request.scope["headers"]))
    note_authenticated(request.scope, principal)
    return principal


def principal_of(request: Request, *scopes: Scope) -> Principal:
    """Authenticate a request; the credential must have one of ``scopes``.

    Raises:
        UnauthorizedError: as ``authenticated``.
        ForbiddenError: it lacks the scope.
    """
    principal = authenticated(request)
    principal.require(*scopes)
    return principal


def project_scope(method: str) -> Scope:
    """Return the scope that a method requires for the data of a project."""
    return "read" if method == "GET" else "write"


async def project_of(request: Request) -> str:
    """Return the project of a request, which only the credential determines.

    The credential must have the scope ``read`` for GET, and ``write`` for every other method.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    return principal_of(request, project_scope(request.method)).project_id


async def reading_project_of(request: Request) -> str:
    """Return the project of a request that only reads, also by POST; its scope is ``read``.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    return principal_of(request, "read").project_id


async def author_of(request: Request) -> str:
    """Return the public key of the caller; the route checks its scopes.

    Raises:
        UnauthorizedError: as ``authenticated``.
    """
    return authenticated(request).public_key


async def decider_of(request: Request) -> Principal:
    """Return the caller, a project's key with the scope ``ingest`` or ``read``.

    Applications have keys that send traces, and ask before they make a call.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    return principal_of(request, *DECIDER_SCOPES)


async def uploader_of(request: Request) -> Principal:
    """Return the caller, a project's key with the scope ``ingest`` or ``write``.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    return principal_of(request, *UPLOADER_SCOPES)


async def metrics_reader_of(request: Request) -> Principal:
    """Return the caller, who must have the scope ``metrics`` or ``read``, or the admin key.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    principal = principal_of(request, *METRICS_SCOPES, "admin")
    if principal.owner is not None:
        principal.require(*METRICS_SCOPES)
    return principal


async def reader_of(request: Request) -> Principal:
    """Return the caller, who must have the scope ``read`` or the installation's admin key.

    This is sufficient to read data that all projects share.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    principal = principal_of(request, "read", "admin")
    if principal.owner is not None:
        principal.require("read")
    return principal


async def admin_of(request: Request) -> Principal:
    """Return the caller, who must have the scope ``admin`` of the installation or of a project.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    return principal_of(request, "admin")


async def caller_of(request: Request, _: ProjectId) -> Principal:
    """Return the caller, whose credential must have the scope that ``project_of`` requires.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    return authenticated(request)


async def project_admin_of(request: Request) -> Principal:
    """Return the caller, a project's key with the scope ``admin``.

    Raises:
        UnauthorizedError, ForbiddenError: as ``principal_of``.
    """
    principal = principal_of(request, "admin")
    if principal.owner is None:
        raise ForbiddenError(f"{DENIED}: this requires a key of the project")
    return principal


async def installation_of(request: Request) -> Principal:
    """Return the caller, who must have the installation's admin key.

    Raises:
        UnauthorizedError, ForbiddenError: the caller has another credential.
    """
    principal = await admin_of(request)
    if principal.owner is not None:
        raise ForbiddenError(f"{DENIED}: this requires the installation's admin key")
    return principal


DECIDER_SCOPES: Final[tuple[Scope, ...]] = ("ingest", "read")
UPLOADER_SCOPES: Final[tuple[Scope, ...]] = ("ingest", "write")
METRICS_SCOPES: Final[tuple[Scope, ...]] = ("read", "metrics")
ProjectId = Annotated[str, Depends(project_of)]
ReadingProject = Annotated[str, Depends(reading_project_of)]
Author = Annotated[str, Depends(author_of)]
Caller = Annotated[Principal, Depends(caller_of)]
Uploader = Annotated[Principal, Depends(uploader_of)]
Decider = Annotated[Principal, Depends(decider_of)]
AnyReader = Annotated[Principal, Depends(reader_of)]
Admin = Annotated[Principal, Depends(admin_of)]
ProjectAdmin = Annotated[Principal, Depends(project_admin_of)]
Installation = Annotated[Principal, Depends(installation_of)]
