"""How much a JSON body would become, told from its bytes: a few KB on the wire can be gigabytes of objects."""

from __future__ import annotations

from producers import metrics
from producers.errors import TooLargeError


def check_json_values(body: bytes, values_max: int) -> None:
    """See that ``body`` holds no more than about ``values_max`` values, before anything is built of it.

    Commas and opening brackets are counted: all of them at first, and only where those are too many, those outside of strings.
    What is not JSON at all passes or not; its parser says so then.

    Raises:
        TooLargeError: it holds more.
    """
    if len(body) <= values_max or _marks(body) <= values_max:
        return
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') <= 4 * values_max and _marks(b"".join(body.split(b'"')[::2])) <= values_max:
        return
    metrics.LIMIT_REACHED.labels(limit="json_values_max").inc()
    raise TooLargeError(f"more than {values_max} values in one JSON body")


def _marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"{") + text.count(b"[")
