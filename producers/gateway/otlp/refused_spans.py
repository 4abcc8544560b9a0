"""Collect the spans of an export that cannot be decoded, so that the others are accepted."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from google.protobuf.message import DecodeError

from producers.errors import BodyError, DecodeInThreadError, TooLargeError
from producers.gateway.failures import PROCESSING_FAILED, describe_failure
from producers.gateway.otlp.export import RefusedSpan
from producers.gateway.otlp.wire import TooManyFieldsError

INVALID_SPAN: Final = "invalid_span"
TOO_LARGE: Final = "event_too_large"


class RefusedSpans:
    """Collect the spans of one export whose decoding fails."""

    def __init__(self) -> None:
        self.spans: list[RefusedSpan] = []
        self._before_scope = 0

    def begin_scope(self) -> None:
        """Number further spans from the beginning of another scope."""
        self._before_scope = len(self.spans)

    def path_of_next(self, scope_path: str, decoded: int) -> str:
        """Return the path of the span that follows the decoded and refused ones of its scope."""
        return f"{scope_path}.spans[{decoded + len(self.spans) - self._before_scope}]"

    def isolating(self, path: str, payload: bytes) -> _Isolation:
        """Return a context in which any exception refuses only the span that is being decoded.

        Exceptions that concern the whole export are raised: ``TooLargeError`` and
        ``DecodeInThreadError``.
        """
        return _Isolation(self, path, payload)

    def add(self, path: str, payload: bytes, error: Exception) -> None:
        """Refuse a span because of an exception."""
        if isinstance(error, BodyError):
            refused = RefusedSpan(path, INVALID_SPAN, str(error), payload)
        elif isinstance(error, TooManyFieldsError):
            refused = RefusedSpan(path, TOO_LARGE, f"{path}: {error}", payload)
        elif isinstance(error, DecodeError):
            detail = f"{path} contains invalid protobuf"
            refused = RefusedSpan(path, INVALID_SPAN, detail, payload)
        else:
            detail = describe_failure("span_decode", error)
            refused = RefusedSpan(path, PROCESSING_FAILED, detail, payload)
        self.spans.append(refused)


class _Isolation:
    __slots__ = ("_path", "_payload", "_refused")

    def __init__(self, refused: RefusedSpans, path: str, payload: bytes) -> None:
        self._refused = refused
        self._path = path
        self._payload = payload

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(
            error, TooLargeError | DecodeInThreadError
        ):
            return False
        self._refused.add(self._path, self._payload, error)
        return True
