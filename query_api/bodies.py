"""Explain why a request's body could not be parsed."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

UNREADABLE: Final = "invalid_json"
_ENCODING_SHOWN_MAX: Final = 64


def fault_of_body(request: Request, cause: BaseException) -> str:
    """Return the reason of an error of the JSON parser."""
    encoding = request.headers.get("content-encoding", "")
    if encoding not in ("", "identity"):
        return f"the body is compressed ({encoding[:_ENCODING_SHOWN_MAX]}); send it as plain JSON"
    match cause:
        case UnicodeDecodeError():
            return "the body is not JSON in UTF-8"
        case RecursionError():
            return "the body is nested too deeply"
        case ValueError():
            # Python limits the number of digits of integers.
            return "a number in the body has too many digits"
        case _:
            return "the body cannot be read"
