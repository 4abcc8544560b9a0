"""Call the API from the command line, with the admin key or a project's key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx

from deploy.api_options import PUBLIC_KEY, SECRET_KEY
from deploy.api_requests import DEFAULT_URL, connect
from deploy.embedded.credentials import read_credentials
from deploy.embedded.data_dir import Installation, read_installation
from deploy.errors import DeployError, MisconfiguredError, RefusedError
from deploy.settings import ProcessSettings
from producers.settings import AdminSettings

TIMEOUT_S: Final = 30.0
PAGE: Final = 500
KEY_VARIABLE: Final = "TRACEMILL_ADMIN_SECRET_KEY"


class JsonResponse(NamedTuple):
    """A successful response."""

    body: Any
    """The JSON of the response; None if it has no body."""
    etag: str | None


class AdminClient:
    """A connection to the API."""

    def __init__(self, url: str, secret: str, public_key: str = "") -> None:
        """Prepare a connection with a project's key, or, if there is no public key, the admin key.

        Raises:
            DeployError: the URL is not valid.
        """
        self.url = url
        self._connection = connect(
            url,
            timeout_s=TIMEOUT_S,
            secret=secret,
            public_key=public_key,
            key_variable=KEY_VARIABLE,
        )

    def call(
        self,
        method: str,
        path: Sequence[str],
        body: Any = None,
        query: str = "",
        if_match: str | None = None,
    ) -> Any:
        """Send a request and return the JSON of the response; None if it has no body.

        Raises:
            ApiUnavailableError, RefusedError: like ``Connection.send``.
        """
        return self.exchange(method, path, body, query, if_match).body

    def exchange(
        self,
        method: str,
        path: Sequence[str],
        body: Any = None,
        query: str = "",
        if_match: str | None = None,
    ) -> JsonResponse:
        """Send a request and return the response with its ``ETag``. Raises like ``call``."""
        headers = {} if if_match is None else {"if-match": if_match}
        response = self._connection.send(method, f"{_joined(path)}{query}", body, headers)
        try:
            found = response.json() if response.content else None
        except ValueError:
            raise RefusedError(f"{self.url} is not tracemill: its response is not JSON") from None
        return JsonResponse(found, response.headers.get("etag"))

    def record(
        self,
        method: str,
        path: Sequence[str],
        body: Any = None,
        *,
        query: str = "",
        fields: Sequence[str] = ("id",),
    ) -> dict[str, Any]:
        """Send a request and return the record of the response. Raises like ``call``.

        Raises:
            RefusedError: the response is not a record, or lacks one of ``fields``.
        """
        return self.checked(method, path, self.call(method, path, body, query=query), fields)

    def checked(
        self, method: str, path: Sequence[str], found: Any, fields: Sequence[str]
    ) -> dict[str, Any]:
        """Check that a response is a record with ``fields`` and return it.

        Raises:
            RefusedError: the response is not such a record.
        """
        if not isinstance(found, dict) or not all(name in found for name in fields):
            raise self._unexpected(method, path)
        return found

    def pages(self, path: Sequence[str], **parameters: str) -> list[dict[str, Any]]:
        """Return all items of a paged list. Raises like ``call``.

        Raises:
            RefusedError: a response is not a page of a list.
        """
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            position = {"cursor": cursor} if cursor else {}
            query = httpx.QueryParams({"limit": PAGE, **parameters, **position})
            page = self.call("GET", path, query=f"?{query}")
            try:
                items, cursor = page["data"], page["meta"]["cursor"]
            except (KeyError, TypeError, IndexError):
                raise self._unexpected("GET", path) from None
            if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
                raise self._unexpected("GET", path)
            found += items
        return found

    def _unexpected(self, method: str, path: Sequence[str]) -> DeployError:
        return RefusedError(
            f"{self.url} gave an unexpected response to {method} {_joined(path)}; is it tracemill?"
        )


def admin_client(url: str | None) -> AdminClient:
    """Return a client with the admin key of the environment, or else of the local installation.

    The key of the local installation is only sent to this machine.

    Raises:
        DeployError: there is no admin key, a file of the installation cannot be read, or the URL
            is not valid.
    """
    data_dir = ProcessSettings().data_dir
    installation = read_installation(data_dir)
    url = _address(url, installation)
    secret = AdminSettings().secret_key.get_secret_value()
    if not secret and installation is not None and _is_local(url):
        credentials = read_credentials(data_dir)
        secret = "" if credentials is None else credentials.admin.get_secret_value()
    if not secret:
        raise MisconfiguredError(
            f"there is no admin key: set {KEY_VARIABLE}, or run this on the machine of `tracemill"
            " up`, with its data directory (--data-dir) in TRACEMILL_DATA_DIR (no installation"
            f" with a key in {data_dir})"
        )
    return AdminClient(url, secret)


def project_client(
    url: str | None, public_key: str | None = None, secret_key: str | None = None
) -> AdminClient:
    """Return a client with a project's key, by default that of the project of `tracemill up`.

    Raises:
        DeployError: a file of the installation cannot be read, or the URL is not valid.
    """
    installation = read_installation(ProcessSettings().data_dir)
    return AdminClient(
        _address(url, installation), secret_key or SECRET_KEY, public_key or PUBLIC_KEY
    )


def server_address(url: str | None) -> str:
    """Return ``url``, or else the address of the environment or of the local installation.

    Raises:
        DeployError: a file of the installation cannot be read.
    """
    return _address(url, read_installation(ProcessSettings().data_dir))


def _joined(path: Sequence[str]) -> str:
    """Return a path of quoted segments, none of which can be ``..`` or contain a slash."""
    return "".join(
        "/" + (each.replace(".", "%2E") if each in {".", ".."} else quote(each, safe=""))
        for each in path
    )


def _address(url: str | None, installation: Installation | None) -> str:
    url = url or os.environ.get("TRACEMILL_URL")
    if url:
        return url
    port = installation.public_port if installation is not None else None
    return DEFAULT_URL if port is None else f"http://127.0.0.1:{port}"


def _is_local(url: str) -> bool:
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False
