"""Define the spans and traces that applications work with."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from tracemill.clock import now_us
from tracemill.contract import Observation, TraceAttributes, TraceUpdate
from tracemill.fields import (
    SPAN_SETTERS,
    TRACE_SETTERS,
    Setter,
    SpanFields,
    TraceFields,
    text_size,
)
from tracemill.texts import to_text

if TYPE_CHECKING:
    from tracemill.tracer import Tracer

_CURRENT: ContextVar[Scope | None] = ContextVar("tracemill_current", default=None)


def current_of(tracer: Tracer) -> Scope | None:
    """Return the innermost open span or trace of ``tracer`` in this task or thread."""
    scope = _CURRENT.get()
    return scope if scope is not None and scope.tracer is tracer else None


class Scope(ABC):
    """A span or a trace. In its ``with`` or ``async with`` block it is the parent of new spans."""

    __slots__ = ("_tokens", "id", "trace_id", "tracer")

    def __init__(self, tracer: Tracer, trace_id: str, id_: str) -> None:
        self.tracer = tracer
        self.trace_id = trace_id
        self.id = id_
        self._tokens: list[Token[Scope | None]] = []

    @property
    @abstractmethod
    def parent_id(self) -> str | None:
        """Return the parent id of spans that start in this scope; ``None`` in a trace."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Record that the scope ended because of ``error``."""

    @abstractmethod
    def end(self) -> None:
        """End the scope; later calls have no effect."""

    def __enter__(self) -> Self:
        self._tokens.append(_CURRENT.set(self))
        return self

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the parent of spans that start in the block, without ending it afterwards."""
        self._tokens.append(_CURRENT.set(self))
        try:
            yield
        finally:
            self._leave()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._leave()
            if error is not None and not isinstance(error, GeneratorExit):
                self.fail(error)
            self.end()
        except Exception as defect:  # noqa: BLE001 - must not reach the application
            self.tracer.problems.mistake("end", defect)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _leave(self) -> None:
        try:
            _CURRENT.reset(self._tokens.pop())
        except (ValueError, IndexError):  # entered in another task
            _CURRENT.set(None)

    def _set(self, event: Any, setters: Mapping[str, Setter], fields: Mapping[str, Any]) -> None:
        limit = self.tracer.options.text_max_chars
        for name, value in fields.items():
            if value is None:
                continue
            setter = setters.get(name)
            if setter is None:
                self.tracer.problems.mistake(name, "unknown argument")
                continue
            try:
                setter(event, value, limit)
            except Exception as error:  # noqa: BLE001 - must not reach the application
                self.tracer.problems.mistake(name, error)


class Span(Scope):
    """An operation that starts when it is created, and is sent when it ends.

    ``Tracer.span`` and ``Tracer.generation`` create spans. To continue the trace in another
    process, pass ``trace_id`` and ``id`` to it, and use them there as ``trace_id=`` and
    ``parent_id=``. An exception that leaves the ``with`` block sets the level ERROR and the status
    message.
    """

    __slots__ = ("_began_ns", "_event")

    def __init__(self, tracer: Tracer, event: Observation) -> None:
        super().__init__(tracer, event.trace_id, event.id)
        self._event: Observation | None = event
        self._began_ns = time.perf_counter_ns()

    @property
    def parent_id(self) -> str | None:
        return self.id

    def update(self, **fields: Unpack[SpanFields]) -> Self:
        """Set fields (see ``SpanFields``) and return the span.

        A new value replaces the earlier one; metadata is merged by key. ``None`` changes nothing.
        An invalid value is logged and counted as a mistake, and the other fields are set.
        """
        self.set_fields(fields)
        return self

    def set_fields(self, fields: Mapping[str, Any]) -> None:
        """Set the fields of a mapping, like ``update``."""
        if self._event is None:
            self.tracer.problems.mistake("update", "the span has already ended")
        else:
            self._set(self._event, SPAN_SETTERS, fields)

    def first_token(self) -> Self:
        """Record the current time as that of the first output token; later calls have no effect."""
        if self._event is not None and self._event.completion_start_us is None:
            self._event.completion_start_us = self._now_us(self._event)
        return self

    def score(self, name: str, value: float | str | bool, **more: Any) -> None:
        """Add a score to this span; the arguments are those of ``Tracer.score``."""
        self.tracer.score(name, value, trace_id=self.trace_id, observation_id=self.id, **more)

    def fail(self, error: BaseException) -> None:
        event = self._event
        if event is not None:
            event.level = "ERROR"
            event.error_type = type(error).__name__
            if event.status_message is None:
                event.status_message = to_text(error, self.tracer.options.text_max_chars)

    def end(self, **fields: Unpack[SpanFields]) -> None:
        if fields:
            self.set_fields(fields)
        event, self._event = self._event, None
        if event is None:
            return
        if event.end_us is None:
            event.end_us = self._now_us(event)
        event.ts_us = event.end_us
        self.tracer.deliver(event, text_size(event))

    def _now_us(self, event: Observation) -> int:
        """Return the current time (µs): the start plus the time since then by a monotonic clock."""
        return (event.start_us or 0) + (time.perf_counter_ns() - self._began_ns) // 1000


class Trace(Scope):
    """A group of spans, such as those of a request or of one exchange in a conversation."""

    __slots__ = ("_environment",)

    def __init__(self, tracer: Tracer, trace_id: str, environment: str | None) -> None:
        super().__init__(tracer, trace_id, trace_id)
        self._environment = environment

    @property
    def parent_id(self) -> str | None:
        return None

    def update(self, **fields: Unpack[TraceFields]) -> Self:
        """Set fields (see ``TraceFields``), send the update immediately, and return the trace."""
        attributes = TraceAttributes()
        self._set(attributes, TRACE_SETTERS, fields)
        self.tracer.deliver(
            TraceUpdate(
                project_id=self.tracer.project_id,
                trace_id=self.trace_id,
                ts_us=now_us(),
                environment=self._environment,
                trace=attributes,
            ),
            text_size(attributes),
        )
        return self

    def score(self, name: str, value: float | str | bool, **more: Any) -> None:
        """Add a score to this trace; the arguments are those of ``Tracer.score``."""
        self.tracer.score(name, value, trace_id=self.trace_id, **more)

    def fail(self, error: BaseException) -> None:
        """Do nothing: only spans have a level."""

    def end(self) -> None:
        """Do nothing: a trace ends with its last span."""
