"""Sign in with a link that works once, or with the keys of a project."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from producers.control.kinds.api_key import ApiKey
from producers.errors import ControlUnavailableError, RequestError
from query_api.console.attempts import Attempts
from query_api.console.client_addresses import client_address, networks_of
from query_api.console.forms import form_of, is_same_origin
from query_api.console.links import Links
from query_api.console.preferences import preferences_of
from query_api.console.rendering import render
from query_api.console.responses import (
    is_from_another_site,
    is_https,
    local_path,
    once_more,
    secured,
    see_other,
)
from query_api.console.sessions import Sessions
from query_api.console.settings import ConsoleSettings
from query_api.console.spent_tokens import SpentTokens
from query_api.context import AppContext
from query_api.errors import ConflictError
from tracemill.clock import now_us

CREDENTIAL_CHARS_MAX = 500
MORE = "more"
"""Parameter of the sign-in to another project; the browser remains signed in."""


class SignIn:
    """Shows the sign-in page and starts sessions."""

    def __init__(
        self,
        context: AppContext,
        sessions: Sessions,
        settings: ConsoleSettings,
        signing: Sequence[str],
        spent: SpentTokens,
    ) -> None:
        self._context = context
        self._sessions = sessions
        self._links = Links(
            signing, context.authenticator, spent, valid_s=settings.link_valid_s, now_us=now_us
        )
        self._trusted = networks_of(settings.trusted_proxies)
        self._attempts = Attempts(
            attempts_max=settings.sign_in_attempts_max,
            window_s=settings.sign_in_window_s,
            clients_max=settings.sign_in_clients_max,
            now_us=now_us,
        )

    async def show(self, request: Request) -> Response:
        """Return the form, or sign in with the link's token."""
        token = request.query_params.get("token")
        if token is None:
            session = self._sessions.of(request)
            if session is not None and MORE not in request.query_params:
                target = local_path(request.query_params.get("next", ""), session.project_id)
                return secured(request, see_other(target))
            if is_from_another_site(request):
                return secured(request, once_more(request))
            return self._form(request)
        return await self._with_link(request, token)

    async def with_key(self, request: Request) -> Response:
        """Sign in with the key pair in the form."""
        if not is_same_origin(request, self._context.settings.public_url):
            return self._refused(request, "origin", HTTPStatus.FORBIDDEN)
        form = await form_of(request)
        # After the body has arrived: many slow requests at the same time would all be allowed.
        client = self._client_of(request)
        if wait_s := self._attempts.wait_s(client):
            return self._refused(request, "wait", HTTPStatus.TOO_MANY_REQUESTS, wait_s)
        key, secret = self._key_of(form.get("public_key", "").strip(), form.get("secret_key", ""))
        if key is None:
            self._attempts.failed(client)
            return self._refused(request, "keys", HTTPStatus.FORBIDDEN)
        return self._started(request, key, secret, form.get("next", ""))

    async def _with_link(self, request: Request, token: str) -> Response:
        client = self._client_of(request)
        if wait_s := self._attempts.wait_s(client):
            return self._refused(request, "wait", HTTPStatus.TOO_MANY_REQUESTS, wait_s)
        try:
            key = await self._links.redeem(token)
        except (ConflictError, ControlUnavailableError):
            return self._refused(request, "unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
        if key is None:
            self._attempts.failed(client)
            return self._refused(request, "link", HTTPStatus.FORBIDDEN)
        return self._started(request, key, None, "")

    def _key_of(self, public_key: str, secret_key: str) -> tuple[ApiKey | None, bytes]:
        secret = secret_key.strip().encode()
        pair = public_key.encode() + b":" + secret
        if ":" in public_key or len(pair) > CREDENTIAL_CHARS_MAX:
            return None, secret
        try:
            found = self._context.authenticator.authenticate(b"Basic " + base64.b64encode(pair))
        except RequestError:
            return None, secret
        if found.owner is None:  # the admin key belongs to no project
            return None, secret
        return self._context.authenticator.usable_key(found.public_key), secret

    def _started(
        self, request: Request, key: ApiKey, secret: bytes | None, target: str
    ) -> Response:
        response = see_other(local_path(target, key.project_id))
        https = is_https(request, self._context.settings.public_url)
        self._sessions.start(request, response, key, secret, is_https=https)
        return secured(request, response)

    def _form(self, request: Request, fault: str = "", status: int = 200) -> Response:
        target = request.query_params.get("next", "")
        response = render(
            "sign_in.html", preferences_of(request), status=status, fault=fault, target=target
        )
        return secured(request, response)

    def _refused(self, request: Request, fault: str, status: int, wait_s: int = 0) -> Response:
        response = self._form(request, fault, status)
        if wait_s:
            response.headers["retry-after"] = str(wait_s)
        return response

    def _client_of(self, request: Request) -> str:
        return client_address(request, self._trusted)
