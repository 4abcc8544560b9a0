"""Why a body could not be read at all."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

UNREADABLE: Final = "invalid_json"
_ENCODING_SHOWN_MAX: Final = 64


def fault_of_body(request: Request, cause: BaseException) -> str:
    """What is wrong with it, by what the JSON parser raised."""
    encoding = request.headers.get("content-encoding", "")
    if encoding not in ("", "identity"):
        return f"the body is compressed ({encoding[:_ENCODING_SHOWN_MAX]}); send it as plain JSON"
    match cause:
        case UnicodeDecodeError():
            return "the body is not JSON in UTF-8"
        case RecursionError():
            return "the body is nested too deeply"
        case ValueError():
            # Python refuses to make an integer of more digits than it converts quickly.
            return "a number in the body has too many digits"
        case _:
            return "the body cannot be read"
