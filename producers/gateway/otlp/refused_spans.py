"""Sets aside spans that cannot be decoded, one by one."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from google.protobuf.message import DecodeError

from producers.errors import BodyError, MoreWorkError, TooLargeError
from producers.gateway.failures import PROCESSING_FAILED, describe_failure
from producers.gateway.otlp.export import RefusedSpan

INVALID_SPAN: Final = "invalid_span"


class RefusedSpans:
    """Collects the spans of one export whose decoding fails."""

    def __init__(self) -> None:
        self.spans: list[RefusedSpan] = []
        self._before_scope = 0

    def begin_scope(self) -> None:
        self._before_scope = len(self.spans)

    def place(self, path: str, taken: int) -> str:
        """Return the path of the span after ``taken`` decoded and all refused ones of its scope."""
        return f"{path}.spans[{taken + len(self.spans) - self._before_scope}]"

    def isolating(self, place: str, payload: bytes) -> _Isolation:
        """Return a context in which any exception refuses only the span that is being decoded.

        Limits of the whole export (``TooLargeError``) pass through.
        """
        return _Isolation(self, place, payload)

    def take(self, place: str, payload: bytes, error: Exception) -> None:
        if isinstance(error, BodyError):
            refused = RefusedSpan(place, INVALID_SPAN, str(error), payload)
        elif isinstance(error, DecodeError):
            detail = f"{place} holds something that is not protobuf"
            refused = RefusedSpan(place, INVALID_SPAN, detail, payload)
        else:
            detail = describe_failure("span_decode", error)
            refused = RefusedSpan(place, PROCESSING_FAILED, detail, payload)
        self.spans.append(refused)


class _Isolation:
    __slots__ = ("_payload", "_place", "_refused")

    def __init__(self, refused: RefusedSpans, place: str, payload: bytes) -> None:
        self._refused = refused
        self._place = place
        self._payload = payload

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, TooLargeError | MoreWorkError):
            return False
        self._refused.take(self._place, self._payload, error)
        return True
