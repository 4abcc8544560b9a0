"""Spans and traces as an application holds them in its hands."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from tracemill.contract import Observation, TraceAttributes, TraceUpdate
from tracemill.fields import (
    SPAN_SETTERS,
    TRACE_SETTERS,
    Setter,
    SpanFields,
    TraceFields,
    text_size,
)
from tracemill.texts import text_of

if TYPE_CHECKING:
    from tracemill.tracer import Tracer

_CURRENT: ContextVar[Scope | None] = ContextVar("tracemill_current", default=None)


def current_of(tracer: Tracer) -> Scope | None:
    """The innermost open span or trace of this task or thread, if it is of ``tracer``."""
    scope = _CURRENT.get()
    return scope if scope is not None and scope.tracer is tracer else None


def now_us() -> int:
    return time.time_ns() // 1000


class Scope(ABC):
    """A span or a trace. Inside its ``with`` block (or ``async with``) it is the parent of what is begun there."""

    __slots__ = ("_tokens", "id", "trace_id", "tracer")

    def __init__(self, tracer: Tracer, trace_id: str, id_: str) -> None:
        self.tracer = tracer
        self.trace_id = trace_id
        self.id = id_
        self._tokens: list[Token[Scope | None]] = []

    @property
    @abstractmethod
    def parent_id(self) -> str | None:
        """What a span begun here has as its parent."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Note that ``error`` ended it."""

    @abstractmethod
    def end(self) -> None:
        """It is over; only the first call counts."""

    def __enter__(self) -> Self:
        self._tokens.append(_CURRENT.set(self))
        return self

    @contextmanager
    def current(self) -> Iterator[None]:
        """Be the parent of what is begun in this block, without being over at its end."""
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
        except Exception as defect:  # noqa: BLE001 - not the host's
            self.tracer.complaints.mistake("end", defect)

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
        except (ValueError, IndexError):  # left in another task than it was entered in
            _CURRENT.set(None)

    def _put(self, event: Any, setters: Mapping[str, Setter], fields: Mapping[str, Any]) -> None:
        limit = self.tracer.options.text_max_chars
        for name, value in fields.items():
            if value is None:
                continue
            setter = setters.get(name)
            if setter is None:
                self.tracer.complaints.mistake(name, "there is no such argument")
                continue
            try:
                setter(event, value, limit)
            except Exception as error:  # noqa: BLE001 - a bad argument must not hurt the host
                self.tracer.complaints.mistake(name, error)


class Span(Scope):
    """One operation: begun when it is made, sent when it ends. ``id`` and ``trace_id`` may be handed to other processes."""

    __slots__ = ("_began_ns", "_event")

    def __init__(self, tracer: Tracer, event: Observation) -> None:
        super().__init__(tracer, event.trace_id, event.id)
        self._event: Observation | None = event
        self._began_ns = time.perf_counter_ns()

    @property
    def parent_id(self) -> str | None:
        return self.id

    def update(self, **fields: Unpack[SpanFields]) -> Self:
        """Say more about it; what was said before of the same is replaced, metadata merges."""
        self.say(fields)
        return self

    def say(self, fields: Mapping[str, Any]) -> None:
        """As ``update``, with a mapping."""
        if self._event is None:
            self.tracer.complaints.mistake("update", "the span has ended already")
        else:
            self._put(self._event, SPAN_SETTERS, fields)

    def first_token(self) -> Self:
        """The first piece of the answer is here: the time to it is what users wait for."""
        if self._event is not None and self._event.completion_start_us is None:
            self._event.completion_start_us = self._now_us(self._event)
        return self

    def score(self, name: str, value: float | str | bool, **more: Any) -> None:
        """Judge this span; as ``Tracer.score``."""
        self.tracer.score(name, value, trace_id=self.trace_id, observation_id=self.id, **more)

    def fail(self, error: BaseException) -> None:
        event = self._event
        if event is not None:
            event.level = "ERROR"
            if event.status_message is None:
                said = text_of(error, self.tracer.options.text_max_chars)
                event.status_message = said

    def end(self, **fields: Unpack[SpanFields]) -> None:
        if fields:
            self.say(fields)
        event, self._event = self._event, None
        if event is None:
            return
        if event.end_us is None:
            event.end_us = self._now_us(event)
        event.ts_us = event.end_us
        self.tracer.deliver(event, text_size(event))

    def _now_us(self, event: Observation) -> int:
        """The start and the time since, by a clock that nobody adjusts."""
        return (event.start_us or 0) + (time.perf_counter_ns() - self._began_ns) // 1000


class Trace(Scope):
    """What belongs together: a request, a turn of a conversation."""

    __slots__ = ("_environment",)

    def __init__(self, tracer: Tracer, trace_id: str, environment: str | None) -> None:
        super().__init__(tracer, trace_id, trace_id)
        self._environment = environment

    @property
    def parent_id(self) -> str | None:
        return None

    def update(self, **fields: Unpack[TraceFields]) -> Self:
        """Say something about the trace; it is sent at once."""
        said = TraceAttributes()
        self._put(said, TRACE_SETTERS, fields)
        self.tracer.deliver(
            TraceUpdate(
                project_id=self.tracer.project_id,
                trace_id=self.trace_id,
                ts_us=now_us(),
                environment=self._environment,
                trace=said,
            ),
            text_size(said),
        )
        return self

    def score(self, name: str, value: float | str | bool, **more: Any) -> None:
        """Judge this trace; as ``Tracer.score``."""
        self.tracer.score(name, value, trace_id=self.trace_id, **more)

    def fail(self, error: BaseException) -> None:
        """A trace has no level of its own: its spans have."""

    def end(self) -> None:
        """Nothing is sent: a trace ends with its last span."""
