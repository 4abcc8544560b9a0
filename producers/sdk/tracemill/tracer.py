"""Define the tracer, which records what an application does and sends it to Kafka.

The tracer never raises into the application and never blocks on the network: invalid arguments are
logged and counted, events are dropped and counted when the buffer is full (``stats``). Only
``flush`` and ``close`` wait, up to their timeout.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import random
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from tracemill.clock import now_us
from tracemill.contract import (
    Event,
    Observation,
    ObservationType,
    Score,
    ScoreDataType,
)
from tracemill.delivery import Delivery, Stats
from tracemill.fields import SPAN_TYPES, SpanDetails, TraceDetails
from tracemill.observing import Observe
from tracemill.options import EVENT_OVERHEAD_BYTES, Options
from tracemill.problem_log import ProblemLog
from tracemill.span import Scope, Span, Trace, current_of
from tracemill.texts import to_object_text, to_short_text, to_text

# Independent of the application's seed.
_ids: Final = random.Random(os.urandom(16))  # noqa: S311 - ids are no secrets

T = TypeVar("T")


class Tracer:
    """Send spans, traces and scores of project ``project_id`` to Kafka.

    ``environment``, ``service_name`` and ``release`` are set on all of them. The other arguments
    are those of ``tracemill.options.Options``. Thread-safe; create one tracer per process.
    """

    def __init__(
        self,
        project_id: str,
        broker: str = "127.0.0.1:9092",
        *,
        environment: str | None = None,
        service_name: str | None = None,
        release: str | None = None,
        **options: Any,
    ) -> None:
        self.project_id = str(project_id)
        self.options, invalid = _options(broker, options)
        self.problems = ProblemLog(self.options.log_interval_s)
        for name in invalid:
            self.problems.mistake(name, "unknown option or invalid value")
        self._environment = to_short_text(environment)
        self._service_name = to_short_text(service_name)
        self._release = to_short_text(release)
        self._delivery = Delivery(self.options, self.problems)
        _tracers.add(self)

    def trace(
        self,
        name: str | None = None,
        *,
        trace_id: str | None = None,
        **fields: Unpack[TraceDetails],
    ) -> Trace:
        """Start a trace, or continue the trace ``trace_id`` that was started elsewhere."""
        trace = Trace(self, to_short_text(trace_id) or _new_trace_id(), self._environment)
        if self._release is not None:
            fields.setdefault("release", self._release)
        return trace.update(name=name, **fields) if name or fields else trace

    def span(
        self,
        name: str | None = None,
        *,
        type: ObservationType = "SPAN",  # noqa: A002 - the contract's name
        parent: Scope | None = None,
        trace_id: str | None = None,
        parent_id: str | None = None,
        **fields: Unpack[SpanDetails],
    ) -> Span:
        """Start a span; a ``with`` block makes it current and ends it, otherwise call ``end``.

        Its parent is ``parent``, or the trace and parent given by id, or the current span or trace;
        without any it starts a new trace.
        """
        return self._begin(name, type, parent, trace_id, parent_id, fields)

    def generation(
        self,
        name: str | None = None,
        *,
        parent: Scope | None = None,
        trace_id: str | None = None,
        parent_id: str | None = None,
        **fields: Unpack[SpanDetails],
    ) -> Span:
        """Start a span of type GENERATION: a model call."""
        return self._begin(name, "GENERATION", parent, trace_id, parent_id, fields)

    def event(self, name: str, **fields: Unpack[SpanDetails]) -> None:
        """Record an event without duration in the current span or trace."""
        self._begin(name, "EVENT", None, None, None, fields).end()

    def _begin(
        self,
        name: Any,
        type_: Any,
        parent: Scope | None,
        trace_id: Any,
        parent_id: Any,
        fields: Mapping[str, Any],
    ) -> Span:
        scope = parent
        if scope is None and trace_id is None:
            scope = current_of(self)
        if scope is not None:
            try:
                trace_id, parent_id = scope.trace_id, scope.parent_id
            except AttributeError as error:
                self.problems.mistake("parent", error)
        known = type_.__class__ is str and type_ in SPAN_TYPES
        event = Observation(
            project_id=self.project_id,
            trace_id=to_short_text(trace_id) or _new_trace_id(),
            id=_new_span_id(),
            ts_us=0,
            type=type_ if known else None,
            name=to_short_text(name),
            parent_id=to_short_text(parent_id),
            environment=self._environment,
            service_name=self._service_name,
            start_us=now_us(),
        )
        span = Span(self, event)
        if not known:
            span.set_fields({"type": type_})
        if fields:
            span.set_fields(fields)
        return span

    @property
    def observe(self) -> Observe:
        """Decorate a function, coroutine function or generator to record each call as a span.

        Use ``@tracer.observe`` or ``@tracer.observe(type="TOOL")``.
        """
        return Observe(self)

    def current_span(self) -> Span | None:
        """Return the innermost open span of this task or thread."""
        scope = current_of(self)
        return scope if isinstance(scope, Span) else None

    def current_trace_id(self) -> str | None:
        """Return the trace id of the current span or trace."""
        scope = current_of(self)
        return None if scope is None else scope.trace_id

    def score(
        self,
        name: str,
        value: float | str | bool,
        *,
        id: str | None = None,  # noqa: A002 - the contract's name
        trace_id: str | None = None,
        observation_id: str | None = None,
        session_id: str | None = None,
        data_type: ScoreDataType | None = None,
        comment: str | None = None,
        metadata: Any = None,
        **unknown: Any,
    ) -> None:
        """Score a trace, an observation or a session; by default the current trace.

        A score with the same ``id`` replaces the earlier one.
        """
        for argument in unknown:
            self.problems.mistake(argument, "unknown argument")
        if trace_id is None and session_id is None:
            trace_id = self.current_trace_id()
        is_text = isinstance(value, str)
        try:
            number = None if is_text else float(value)
        except Exception as error:  # noqa: BLE001 - a value of any kind
            self.problems.mistake("score", error)
            return
        kind = "CATEGORICAL" if is_text else "BOOLEAN" if isinstance(value, bool) else "NUMERIC"
        limit = self.options.text_max_chars
        score = Score(
            project_id=self.project_id,
            id=to_short_text(id) or _new_trace_id(),
            ts_us=now_us(),
            name=to_short_text(name) or "",
            data_type=data_type or kind,  # type: ignore[arg-type]
            value=number,
            string_value=to_text(value, limit) if is_text else None,
            trace_id=to_short_text(trace_id),
            observation_id=to_short_text(observation_id),
            session_id=to_short_text(session_id),
            environment=self._environment,
            comment=to_text(comment, limit),
            metadata=to_object_text(metadata, limit),
        )
        self.deliver(score, len(score.comment or "") + len(score.metadata or ""))

    def deliver(self, event: Event, text_chars: int = 0) -> None:
        """Queue an event of the contract; ``text_chars`` is the length of its texts."""
        try:
            self._delivery.add(event, EVENT_OVERHEAD_BYTES + text_chars)
        except Exception as error:  # noqa: BLE001 - for example if no thread can be started
            self.problems.mistake("deliver", error)

    @property
    def stats(self) -> Stats:
        """Counts of events by outcome."""
        return self._delivery.stats()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until Kafka acknowledged all events so far; false if not within ``timeout_s``."""
        return self._delivery.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Flush and stop; false if events were not delivered within ``timeout_s``.

        Later events are dropped.
        """
        _tracers.discard(self)
        return self._delivery.close(timeout_s)

    async def aflush(self, timeout_s: float = 10.0) -> bool:
        """Flush without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout_s)

    async def aclose(self, timeout_s: float = 10.0) -> bool:
        """Close without blocking the event loop."""
        return await asyncio.to_thread(self.close, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def reset_after_fork(self) -> None:
        """Start with an empty buffer in a forked child: the parent delivers the parent's events."""
        _inherited.append(self._delivery)
        self.problems = ProblemLog(self.options.log_interval_s)
        self._delivery = Delivery(self.options, self.problems)


_tracers: Final[weakref.WeakSet[Tracer]] = weakref.WeakSet()
_inherited: Final[list[Delivery]] = []
"""Deliveries copied from the parent by a fork: freeing their event loops would log warnings."""


def _new_trace_id() -> str:
    return _ids.getrandbits(128).to_bytes(16, "big").hex()


def _new_span_id() -> str:
    return _ids.getrandbits(64).to_bytes(8, "big").hex()


def _options(broker: str, given: dict[str, Any]) -> tuple[Options, list[str]]:
    """Return the options, and the names of those that are unknown or invalid."""
    options, invalid = Options(broker=str(broker)), []
    for name, value in given.items():
        try:
            options = replace(options, **{name: value})
        except (TypeError, ValueError):
            invalid.append(name)
    return options, invalid


def _in_forked_child() -> None:
    _ids.seed(os.urandom(16))
    for tracer in list(_tracers):
        tracer.reset_after_fork()


def _flush_all() -> None:
    for tracer in list(_tracers):
        tracer.flush(tracer.options.exit_timeout_s)


def _close_all() -> None:
    for tracer in list(_tracers):
        tracer.close(tracer.options.exit_timeout_s)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
# Connecting may resolve a name in a thread, which is impossible in atexit: flush before that, too.
getattr(threading, "_register_atexit", atexit.register)(_flush_all)
atexit.register(_close_all)
