"""Send requests to tracemill, and convert every failure to an error with one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from deploy.errors import ApiUnavailableError, DeployError, RefusedError
from deploy.record_output import printable

DEFAULT_URL: Final = "http://127.0.0.1:7700"
REASON_CHARS_MAX: Final = 300
RETRY_AFTER_MAX_S: Final = 3 * 86_400
"""Maximum time in ``Retry-After``; longer ones are ignored."""
LATER: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses of requests that may succeed later."""


def connect(
    url: str, *, timeout_s: float, secret: str, public_key: str = "", key_variable: str = ""
) -> Connection:
    """Prepare requests with a project's key, or, if there is no public key, the admin key.

    Raises:
        DeployError: the URL is not valid.
    """
    if public_key:
        key = f"the public key {printable(public_key)} with this secret"
    else:
        key = f"this admin key; set {key_variable}"
    try:
        client = httpx.Client(
            base_url=url,
            timeout=timeout_s,
            headers={} if public_key else {"authorization": f"Bearer {secret}"},
            auth=(public_key, secret) if public_key else None,
            limits=httpx.Limits(max_keepalive_connections=0),  # none stays open
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise DeployError(f"{url!r} is not a URL like {DEFAULT_URL}: {error}") from error
    return Connection(url, client, key)


class Connection:
    """A client that sends requests to one address with one key."""

    def __init__(self, url: str, client: httpx.Client, key: str) -> None:
        self.url = url
        self.client = client
        self._key = key

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request and return the successful response.

        Raises:
            ApiUnavailableError: there is no response, or the request may succeed later.
            RefusedError: the server refuses the request, or is not tracemill.
        """
        try:
            response = self.client.request(method, path, json=body, headers=headers)
        except UnicodeEncodeError as error:
            raise RefusedError("an argument contains bytes that are not UTF-8") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise ApiUnavailableError(
                f"no answer from tracemill at {self.url}: {error or type(error).__name__}; set its"
                " address with --url or TRACEMILL_URL"
            ) from error
        if response.is_success:
            return response
        raise self._error(response)

    def _error(self, response: httpx.Response) -> DeployError:
        status = response.status_code
        if status == httpx.codes.UNAUTHORIZED:
            return RefusedError(f"{self.url} refuses {self._key}", status)
        if response.is_redirect:
            to = printable(response.headers.get("location", "another address"))
            return RefusedError(f"{self.url} redirects to {to}; set that with --url", status)
        reason = f"{_reason(response)} ({status})"
        if status in LATER:
            return ApiUnavailableError(reason, status, _retry_after_s(response))
        return RefusedError(reason, status)


def _reason(response: httpx.Response) -> str:
    """Return the message of an error response, in one line."""
    try:
        body = response.json()
        error = body.get("error")
        message = error["message"] if isinstance(error, dict) else body["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = response.text[:REASON_CHARS_MAX] or response.reason_phrase
    text = printable(" ".join(str(message).split()))
    wait_s = _retry_after_s(response)
    return text if wait_s is None else f"{text}; try again in {wait_s} s"


def _retry_after_s(response: httpx.Response) -> int | None:
    text = response.headers.get("retry-after", "")
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > RETRY_AFTER_MAX_S:
        return None
    return int(text)
