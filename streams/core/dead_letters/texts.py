"""Build the texts of dead letters, bounded and encodable: exceptions and payloads."""

from __future__ import annotations

from types import TracebackType
from typing import Final

import msgspec

from streams.core.observations.limits import ESCAPED_BYTES_MAX

PROJECT_ID_MAX_CHARS: Final = 200
MESSAGE_MAX_CHARS: Final = 500
"""Maximum length of an exception's message, which may quote the input."""
FRAMES_MAX: Final = 5_000
"""Maximum frames of a traceback to search; above Python's default recursion limit."""
OWN_PACKAGES: Final = ("streams", "clickhouse", "producers", "tracemill")


class _Event(msgspec.Struct):
    project_id: str = ""


class _Delta(msgspec.Struct, array_like=True):
    project_id: str = ""


def describe_error(error: BaseException) -> str:
    """Return type, message and code location of an exception, bounded and encodable."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # ``__str__`` of an exception may raise, too
        message = "(no message)"
    text = f"{type(error).__name__}: {message[:MESSAGE_MAX_CHARS]}"
    location = _location(error.__traceback__)
    return printable(f"{text} (at {location})" if location else text)


def printable(text: str) -> str:
    """Replace unpaired surrogates, which cannot be encoded, by question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def cut_to_json_bytes(text: str, bytes_max: int) -> str:
    """Return the longest beginning of ``text`` of at most ``bytes_max`` as JSON."""
    if len(text) * ESCAPED_BYTES_MAX <= bytes_max:
        return text
    while text and (escaped := len(msgspec.json.encode(text))) > bytes_max:
        text = text[: min(len(text) * bytes_max // escaped, len(text) - 1)]
    return text


def bounded_payload(payload: bytes, bytes_max: int) -> tuple[str, str]:
    """Cut a payload to ``bytes_max`` as JSON; return it with a note, which is empty if not cut."""
    text = payload.decode(errors="replace")
    kept = cut_to_json_bytes(text, bytes_max)
    if len(kept) == len(text):
        return text, ""
    return kept, f" (the payload is cut: the first {len(kept)} of {len(text)} characters)"


def owner_of_event(payload: bytes) -> str:
    """Return the project of a line of ``events``; empty if it cannot be read."""
    return _owner(payload, _Event)


def owner_of_delta(payload: bytes) -> str:
    """Return the project of a line of ``deltas``; empty if it cannot be read."""
    return _owner(payload, _Delta)


def _owner(payload: bytes, line: type[_Event | _Delta]) -> str:
    try:
        project_id = msgspec.json.decode(payload, type=line).project_id
    except Exception:  # noqa: BLE001  # the payload may be invalid
        return ""
    return project_id if len(project_id) <= PROJECT_ID_MAX_CHARS else ""


def _location(traceback: TracebackType | None) -> str:
    """Return the innermost frame in our own packages, or else the innermost frame."""
    location = ""
    own = False
    for _ in range(FRAMES_MAX):
        if traceback is None:
            break
        module = str(traceback.tb_frame.f_globals.get("__name__", "?"))
        is_own = module.partition(".")[0] in OWN_PACKAGES
        if is_own or not own:
            function = traceback.tb_frame.f_code.co_name
            location = f"{module}:{traceback.tb_lineno} in {function}"
        own = own or is_own
        traceback = traceback.tb_next
    return location
