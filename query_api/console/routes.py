"""Add the routes of the console: its pages, actions, data, files, and the sign-in.

Every page and action goes through the same checks: a session, the project in the path, the scope,
and for actions the origin and the CSRF token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from producers.control.kinds.project import Project
from producers.encoded_slashes import shown_path
from producers.errors import ControlError, ForbiddenError
from query_api.console.error_pages import ErrorPages
from query_api.console.forms import form_of, is_same_origin
from query_api.console.links import SIGN_IN
from query_api.console.page import Action, Data, Page, Registered, View, navigation, registered
from query_api.console.preferences import preferences_of
from query_api.console.rendering import render
from query_api.console.responses import (
    address_of,
    found,
    is_browser,
    is_from_another_site,
    is_part,
    once_more,
    secured,
    see_other,
)
from query_api.console.sessions import Session, Sessions
from query_api.console.settings import ConsoleSettings
from query_api.console.sign_in import SignIn
from query_api.console.spent_tokens import SpentTokens
from query_api.console.static_files import PREFIX, serve_static
from query_api.console.trace_links import TRACE_LINK, path_of_trace
from query_api.context import AppContext
from query_api.errors import NotFoundError, QueryApiError, UnavailableError
from query_api.responses import json_response
from tracemill.clock import now_us

PROJECT: Final = "/project/{project_id}"
FORM_PATHS: Final = ("/project/",)
"""Beginnings of the paths of forms, which contain prompts and documents."""
Endpoint = Callable[[Request], Awaitable[Response]]


def console_of(context: AppContext, settings: ConsoleSettings) -> tuple[APIRouter, ErrorPages]:
    """Return all routes of the console, and its pages of errors."""
    router = APIRouter(include_in_schema=False)
    signing = settings.secrets()
    spent = SpentTokens(context.control, context.settings, now_us)
    sessions = Sessions(
        context.authenticator, signing, spent, hours_max=settings.session_h, now_us=now_us
    )
    console = Console(context, settings, sessions)
    sign_in = SignIn(context, sessions, settings, signing, spent)

    def add(path: str, method: str, endpoint: Endpoint) -> None:
        router.add_api_route(path, endpoint, methods=[method], response_model=None)

    add(f"{PREFIX}/{{name}}", "GET", serve_static)
    add(SIGN_IN, "GET", sign_in.show)
    add(SIGN_IN, "POST", sign_in.with_key)
    add(TRACE_LINK, "GET", console.open_trace)
    for each in registered():
        add(path_of(each), "POST" if isinstance(each, Action) else "GET", console.endpoint(each))
    return router, ErrorPages(console)


def path_of(each: Registered) -> str:
    """Return the path of a page, an action or data."""
    return f"/console{PROJECT}{each.path}" if isinstance(each, Data) else f"{PROJECT}{each.path}"


class Console:
    """Checks requests of signed-in viewers, and runs their pages and actions."""

    def __init__(self, context: AppContext, settings: ConsoleSettings, sessions: Sessions) -> None:
        self._context = context
        self._settings = settings
        self._sessions = sessions

    def endpoint(self, each: Registered) -> Endpoint:
        """Return the function that answers requests of a page, an action or data."""
        match each:
            case Page():
                return self._of_page(each)
            case Action():
                return self._of_action(each)
            case Data():
                return self._of_data(each)

    def _of_page(self, page: Page) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if not is_browser(request) and not is_part(request):
                if page.for_programs is None:
                    raise NotFoundError(f"no such route: GET {shown_path(request.scope)[:200]}")
                return page.for_programs(request)
            session = self._sessions.of(request, request.path_params["project_id"])
            if session is None:
                return secured(request, _ended() if is_part(request) else _to_sign_in(request))
            return await self._answer(request, session, page)

        return endpoint

    def _of_action(self, action: Action) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            session = self._sessions.of(request, request.path_params["project_id"])
            public_url = self._context.settings.public_url
            if session is None and is_part(request):
                return secured(request, _ended())
            if session is None:
                raise ForbiddenError("sign in to the console")
            if not is_same_origin(request, public_url):
                raise ForbiddenError(
                    "the form is not of a page of this server; load the page again"
                )
            form = await form_of(request)
            if not self._sessions.is_csrf_token(session, form.get("csrf", "")):
                raise ForbiddenError("the form is not of this session; load the page again")
            return await self._answer(request, session, action, form)

        return endpoint

    def _of_data(self, data: Data) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            session = self._sessions.of(request, request.path_params["project_id"])
            if session is None:
                raise ForbiddenError("sign in to the console")
            return await self._answer(request, session, data)

        return endpoint

    async def open_trace(self, request: Request) -> Response:
        """Redirect a link to a trace without a project to its page; programs to the API."""
        trace_id = request.path_params["trace_id"]
        if not is_browser(request):
            return RedirectResponse(f"/api/public/traces/{quote(trace_id, safe='')}")
        sessions = self._sessions.all_of(request)
        if not sessions:
            return secured(request, _to_sign_in(request))
        path = await path_of_trace(self._context.reader, sessions, trace_id)
        return secured(request, see_other(path))

    async def _answer(
        self,
        request: Request,
        session: Session,
        each: Registered,
        form: dict[str, str] | None = None,
    ) -> Response:
        view = self._view(request, session, form or {})
        try:
            if request.path_params["project_id"] != session.project_id:
                raise NotFoundError("no such project")
            if each.scope is not None:
                session.principal.require(each.scope)
            match each:
                case Page():
                    response = await each.show(view)
                case Action():
                    response = await each.run(view)
                case Data():
                    response = await each.read(view)
        except (QueryApiError, ForbiddenError, ControlError) as error:
            response = self._error(view, each, error)
        return secured(request, response)

    def view_of(self, request: Request, project_id: str) -> View | None:
        """Return the view of a request, of a project if possible; None: nobody is signed in."""
        session = self._sessions.of(request, project_id)
        return None if session is None else self._view(request, session, {})

    def _view(self, request: Request, session: Session, form: dict[str, str]) -> View:
        return View(
            request,
            self._context,
            self._settings,
            session,
            self._sessions,
            preferences_of(request),
            self._rendered,
            form,
        )

    def _error(self, view: View, each: Registered, error: Exception) -> Response:
        status, message = 503, str(error)
        if isinstance(error, ForbiddenError):
            status = 403
        elif isinstance(error, QueryApiError):
            status, message = error.status, error.message
        if isinstance(each, Data):
            response = json_response({"error": {"message": message}}, status=status)
        else:
            template = "error_part.html" if view.is_part else "error.html"
            response = view.render(template, status=status, code=status, message=message)
        if isinstance(error, UnavailableError):
            response.headers["retry-after"] = str(error.retry_after_s)
        return response

    def _rendered(self, view: View, template: str, *, status: int = 200, **values: Any) -> Response:
        project = self._context.control.view[Project].get(view.project_id)
        return render(
            template,
            view.preferences,
            status=status,
            view=view,
            project_id=view.project_id,
            project_name=project.name if project is not None else view.project_id,
            base=view.path(),
            navigation=navigation(view.session.principal),
            csrf=view.session.csrf_token,
            projects=self._projects(view.request),
            address=address_of(view.request),
            **values,
        )

    def _projects(self, request: Request) -> list[tuple[str, str]]:
        """Return ids and names of the projects in which the browser is signed in."""
        projects = self._context.control.view[Project]
        ids = [each.project_id for each in self._sessions.all_of(request)]
        return [(each, projects[each].name if each in projects else each) for each in ids]


def _ended() -> Response:
    """Make htmx load the page again, because it would show the sign-in in place of a part."""
    return Response(status_code=403, headers={"hx-refresh": "true"})


def _to_sign_in(request: Request) -> Response:
    """Redirect to the sign-in, after which the viewer returns.

    Browsers send the cookie of the session only if a page of this server has led to the address. A
    link on another site is therefore followed once more.
    """
    if is_from_another_site(request):
        return once_more(request)
    return found(f"{SIGN_IN}?next={quote(address_of(request), safe='')}")
