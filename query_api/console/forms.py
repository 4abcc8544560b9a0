"""Read forms, and check that they come from pages of this server."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from producers.errors import ForbiddenError

FORM_FIELDS_MAX: Final = 100
FORM: Final = "application/x-www-form-urlencoded"


def is_same_origin(request: Request, public_url: str) -> bool:
    """Return whether a page of this server sent a form, according to the browser's headers.

    The host of the request and that of ``public_url`` are both accepted, because a proxy may
    replace the name of the host.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    own = {request.headers.get("host", ""), urlsplit(public_url).netloc}
    if origin is not None and origin.partition("://")[2] not in own - {""}:
        return False
    return site in {"same-origin", "none"}


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        ForbiddenError: the body is not a form, or has too many fields.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise ForbiddenError(f"the body must be a form ({FORM})")
    body = (await request.body()).decode(errors="replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX))
    except ValueError as error:
        raise ForbiddenError(f"the form must have at most {FORM_FIELDS_MAX} fields") from error
