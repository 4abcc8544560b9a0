"""Define pages and actions. Each module in ``pages`` defines those that it adds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, Literal

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from producers.console_paths import project_path
from producers.control.auth import Principal
from producers.control.scopes import Scope
from query_api.console import pages as pages_package
from query_api.console.formats import Formats
from query_api.console.preferences import Preferences
from query_api.console.responses import is_part
from query_api.console.sessions import Session, Sessions
from query_api.console.settings import ConsoleSettings
from query_api.context import AppContext


def text_of(parameters: QueryParams, name: str) -> str:
    """Return a parameter without spaces around it; empty if it is missing."""
    return parameters.get(name, "").strip()


@dataclass(frozen=True)
class View:
    """A request of a signed-in viewer, who has the scope of the page."""

    request: Request
    context: AppContext
    settings: ConsoleSettings
    session: Session
    sessions: Sessions
    preferences: Preferences
    rendered: Callable[..., Response]
    """Renders a template for this view; see ``render``."""
    form: Mapping[str, str] = field(default_factory=dict)
    """Fields of the form of an action."""

    @property
    def project_id(self) -> str:
        return self.session.project_id

    @property
    def formats(self) -> Formats:
        return Formats(self.preferences)

    @property
    def is_part(self) -> bool:
        """Whether htmx requested a part of a page, so that only this part must be rendered."""
        return is_part(self.request)

    def path(self, *segments: str) -> str:
        """Return the path of a page of the project; segments are encoded."""
        return project_path(self.project_id, *segments)

    def may(self, scope: Scope) -> bool:
        """Return whether the viewer's key has a scope."""
        return scope in self.session.principal.scopes

    def parameter(self, name: str) -> str:
        """Return a parameter of the query string without spaces around it; empty if missing."""
        return text_of(self.request.query_params, name)

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a template with these values, which it escapes."""
        return self.rendered(self, template, status=status, **values)


Show = Callable[[View], Awaitable[Response]]
Group = Literal["", "improve", "alerting", "manage"]
GROUPS: Final[Mapping[Group, str]] = {
    "": "",
    "improve": "Improve",
    "alerting": "Alerting",
    "manage": "Manage",
}
"""Titles of the groups of the navigation, in order. The first group has none."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a project."""

    path: str
    """Path below ``/project/{project_id}``, with parameters as in other routes."""
    show: Show
    title: str = ""
    """Title in the navigation."""
    group: Group = ""
    """Group in the navigation."""
    place: int | None = None
    """Place in the group; None: it is not in the navigation."""
    scope: Scope = "read"
    for_programs: Callable[[Request], Response] | None = None
    """What clients that accept no HTML get; None: 404."""


@dataclass(frozen=True, slots=True)
class Action:
    """A change that a form requests by POST, with the session's CSRF token."""

    path: str
    run: Show
    scope: Scope | None = "write"
    """The scope that the session needs; None: a session is sufficient."""


@dataclass(frozen=True, slots=True)
class Data:
    """JSON for the script of a page."""

    path: str
    read: Show
    scope: Scope = "read"


Registered = Page | Action | Data


@cache
def registered() -> tuple[Registered, ...]:
    """Return what all modules in ``pages`` define."""
    return tuple(_found())


def navigation(principal: Principal) -> list[tuple[str, list[Page]]]:
    """Return the titles of the groups with their pages that a viewer may see, in order."""
    shown = [
        each
        for each in registered()
        if isinstance(each, Page) and each.place is not None and each.scope in principal.scopes
    ]
    shown.sort(key=lambda each: each.place or 0)
    groups = [
        (title, [each for each in shown if each.group == id_]) for id_, title in GROUPS.items()
    ]
    return [(title, pages) for title, pages in groups if pages]


def _found() -> Iterator[Registered]:
    for module in iter_modules(pages_package.__path__):
        yield from import_module(f"{pages_package.__name__}.{module.name}").REGISTERED
