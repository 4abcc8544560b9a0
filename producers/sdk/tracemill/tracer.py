"""The tracer: what an application tells, and to whom.

Nothing here raises into the application or waits for the network: an argument that nobody can use is logged and counted, an event that finds no room is dropped and
counted (``stats``). Only ``flush`` and ``close`` wait, and no longer than they are told to.
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

from tracemill.complaints import Complaints
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
from tracemill.span import Scope, Span, Trace, current_of, now_us
from tracemill.texts import object_text_of, text_of, word_of

_ids: Final = random.Random(os.urandom(16))  # noqa: S311 - ids, not secrets; not the host's seed

T = TypeVar("T")


class Tracer:
    """Sends what an application does to Kafka, as project ``project_id``.

    ``environment``, ``service_name`` and ``release`` are said of everything. The other arguments are ``tracemill.options.Options``.
    May be used from any thread and any event loop; make one per process and keep it.
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
        self.options, refused = _options(broker, options)
        self.complaints = Complaints(self.options.log_interval_s)
        for name in refused:
            self.complaints.mistake(name, "there is no such option, or not with this value")
        self._environment = word_of(environment)
        self._service_name = word_of(service_name)
        self._release = word_of(release)
        self._delivery = Delivery(self.options, self.complaints)
        _tracers.add(self)

    def trace(
        self,
        name: str | None = None,
        *,
        trace_id: str | None = None,
        **fields: Unpack[TraceDetails],
    ) -> Trace:
        """A new trace, or with ``trace_id`` one that was begun elsewhere."""
        trace = Trace(self, word_of(trace_id) or _new_trace_id(), self._environment)
        if self._release is not None:
            fields.setdefault("release", self._release)
        return trace.update(name=name, **fields) if name or fields else trace

    def span(
        self,
        name: str | None = None,
        *,
        type: ObservationType = "SPAN",  # noqa: A002 - the contract's word
        parent: Scope | None = None,
        trace_id: str | None = None,
        parent_id: str | None = None,
        **fields: Unpack[SpanDetails],
    ) -> Span:
        """A span, begun now; ``with`` makes it current and ends it, else call its ``end``.

        It belongs to ``parent``, or to the trace and parent given by id, or to what is current, or else to a trace of its own.
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
        """A call of a model: a span of type GENERATION."""
        return self._begin(name, "GENERATION", parent, trace_id, parent_id, fields)

    def event(self, name: str, **fields: Unpack[SpanDetails]) -> None:
        """Something that happened at one moment, under what is current."""
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
                self.complaints.mistake("parent", error)
        known = type_.__class__ is str and type_ in SPAN_TYPES
        event = Observation(
            project_id=self.project_id,
            trace_id=word_of(trace_id) or _new_trace_id(),
            id=_new_span_id(),
            ts_us=0,
            type=type_ if known else None,
            name=word_of(name),
            parent_id=word_of(parent_id),
            environment=self._environment,
            service_name=self._service_name,
            start_us=now_us(),
        )
        span = Span(self, event)
        if not known:
            span.say({"type": type_})
        if fields:
            span.say(fields)
        return span

    @property
    def observe(self) -> Observe:
        """Decorator: every call of a function, coroutine function or generator is a span. ``@tracer.observe`` or ``@tracer.observe(type="TOOL")``."""
        return Observe(self)

    def current_span(self) -> Span | None:
        """The innermost open span of this task or thread."""
        scope = current_of(self)
        return scope if isinstance(scope, Span) else None

    def current_trace_id(self) -> str | None:
        """The trace of what is current."""
        scope = current_of(self)
        return None if scope is None else scope.trace_id

    def score(
        self,
        name: str,
        value: float | str | bool,
        *,
        id: str | None = None,  # noqa: A002 - the contract's word
        trace_id: str | None = None,
        observation_id: str | None = None,
        session_id: str | None = None,
        data_type: ScoreDataType | None = None,
        comment: str | None = None,
        metadata: Any = None,
        **unknown: Any,
    ) -> None:
        """Judge a trace, an observation or a session; without any, the current trace. The same ``id`` replaces."""
        for argument in unknown:
            self.complaints.mistake(argument, "there is no such argument")
        if trace_id is None and session_id is None:
            trace_id = self.current_trace_id()
        is_text = isinstance(value, str)
        try:
            number = None if is_text else float(value)
        except Exception as error:  # noqa: BLE001 - a value of any kind
            self.complaints.mistake("score", error)
            return
        kind = "CATEGORICAL" if is_text else "BOOLEAN" if isinstance(value, bool) else "NUMERIC"
        limit = self.options.text_max_chars
        said = Score(
            project_id=self.project_id,
            id=word_of(id) or _new_trace_id(),
            ts_us=now_us(),
            name=word_of(name) or "",
            data_type=data_type or kind,  # type: ignore[arg-type]
            value=number,
            string_value=text_of(value, limit) if is_text else None,
            trace_id=word_of(trace_id),
            observation_id=word_of(observation_id),
            session_id=word_of(session_id),
            environment=self._environment,
            comment=text_of(comment, limit),
            metadata=object_text_of(metadata, limit),
        )
        self.deliver(said, len(said.comment or "") + len(said.metadata or ""))

    def deliver(self, event: Event, text_chars: int = 0) -> None:
        """Send an event of the contract as it is; ``text_chars`` is how long its texts are, for the bound on memory."""
        try:
            self._delivery.add(event, EVENT_OVERHEAD_BYTES + text_chars)
        except Exception as error:  # noqa: BLE001 - no thread can be started, for example
            self.complaints.mistake("deliver", error)

    @property
    def stats(self) -> Stats:
        """What became of the events so far."""
        return self._delivery.stats()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all events so far are with Kafka; false if some are not after ``timeout_s``."""
        return self._delivery.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Flush and end; false if something could not be delivered within ``timeout_s``. What comes later is dropped."""
        _tracers.discard(self)
        return self._delivery.close(timeout_s)

    async def aflush(self, timeout_s: float = 10.0) -> bool:
        """``flush`` without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout_s)

    async def aclose(self, timeout_s: float = 10.0) -> bool:
        """``close`` without blocking the event loop."""
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

    def start_afresh(self) -> None:
        """In a forked child: the parent's thread is not here, and its events are the parent's to send."""
        _inherited.append(self._delivery)
        self.complaints = Complaints(self.options.log_interval_s)
        self._delivery = Delivery(self.options, self.complaints)


_tracers: Final[weakref.WeakSet[Tracer]] = weakref.WeakSet()
_inherited: Final[list[Delivery]] = []
"""What a forked child has of its parent's: kept, since the end of a foreign event loop would complain."""


def _new_trace_id() -> str:
    return _ids.getrandbits(128).to_bytes(16, "big").hex()


def _new_span_id() -> str:
    return _ids.getrandbits(64).to_bytes(8, "big").hex()


def _options(broker: str, given: dict[str, Any]) -> tuple[Options, list[str]]:
    """Options of what is given, and the names of what cannot be one."""
    options, refused = Options(broker=str(broker)), []
    for name, value in given.items():
        try:
            options = replace(options, **{name: value})
        except (TypeError, ValueError):
            refused.append(name)
    return options, refused


def _in_forked_child() -> None:
    _ids.seed(os.urandom(16))
    for tracer in list(_tracers):
        tracer.start_afresh()


def _flush_all() -> None:
    for tracer in list(_tracers):
        tracer.flush(tracer.options.exit_timeout_s)


def _close_all() -> None:
    for tracer in list(_tracers):
        tracer.close(tracer.options.exit_timeout_s)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
# Connecting may need a look-up in a thread, for which it is too late in atexit: deliver a moment earlier, too.
getattr(threading, "_register_atexit", atexit.register)(_flush_all)
atexit.register(_close_all)
