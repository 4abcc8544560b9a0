"""Define pages and actions. Each module in ``pages`` defines those that it adds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from producers.control.scopes import Scope
from query_api.console import pages as pages_package
from query_api.console.formats import Formats
from query_api.console.preferences import Preferences
from query_api.console.sessions import Session
from query_api.console.settings import ConsoleSettings
from query_api.context import AppContext


@dataclass(frozen=True)
class View:
    """A request of a signed-in viewer, who has the scope of the page."""

    request: Request
    context: AppContext
    settings: ConsoleSettings
    session: Session
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

    def parameter(self, name: str) -> str:
        """Return a parameter of the query string without spaces around it; empty if missing."""
        return self.request.query_params.get(name, "").strip()

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a template with these values, which it escapes."""
        return self.rendered(self, template, status=status, **values)


Show = Callable[[View], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a project."""

    path: str
    """Path below ``/project/{project_id}``, with parameters as in other routes."""
    show: Show
    title: str = ""
    """Title in the navigation."""
    place: int | None = None
    """Place in the navigation; None: it is not there."""
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


@cache
def navigation() -> tuple[Page, ...]:
    """Return the pages of the navigation, in order."""
    pages = [each for each in registered() if isinstance(each, Page) and each.place is not None]
    return tuple(sorted(pages, key=lambda each: each.place or 0))


def _found() -> Iterator[Registered]:
    for module in iter_modules(pages_package.__path__):
        yield from import_module(f"{pages_package.__name__}.{module.name}").REGISTERED
