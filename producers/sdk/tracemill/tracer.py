"""Define the tracer, which records operations of an application and sends them to Kafka.

The tracer neither raises exceptions in the application nor waits for the network. It logs and
counts invalid arguments, and drops and counts events while the buffer is full (``Tracer.stats``).
Only ``flush`` and ``close`` wait, up to their timeout.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import random
import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from tracemill.budgets import Amount, BudgetChecks, BudgetDecision, BudgetStats, Fail, fields_of
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

# Independent of the seed that the application sets.
_ids: Final = random.Random(os.urandom(16))  # noqa: S311 - ids are no secrets

T = TypeVar("T")


class Tracer:
    """Send spans, traces and scores of a project to Kafka.

    A tracer can be used by all threads and tasks of a process: create one per process.

    Args:
        project_id: Id of the project that the events belong to.
        broker: Bootstrap servers of Kafka, ``HOST:PORT`` separated by commas.
        environment: Environment of all events, such as ``production``.
        service_name: Name of the service, for all spans.
        release: Release of the application, for all traces.
        options: Fields of ``tracemill.options.Options``, such as ``username`` and ``password``.
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
        self._budgets = BudgetChecks(self.options, self.problems)
        _tracers.add(self)

    def trace(
        self,
        name: str | None = None,
        *,
        trace_id: str | None = None,
        **fields: Unpack[TraceDetails],
    ) -> Trace:
        """Return a new trace, or the trace with the id ``trace_id`` that another process started.

        In a ``with`` block, it is the parent of new spans. Fields are those of ``TraceDetails``.
        """
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
        """Start a span. A ``with`` block makes it current and ends it; without one, call ``end``.

        The parent is ``parent``, or the trace and span with the ids ``trace_id`` and ``parent_id``,
        or the current span or trace. Without any of them, the span starts a new trace. Fields are
        those of ``SpanDetails``.
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
        """Start a span of type GENERATION, a call of a model; arguments are those of ``span``."""
        return self._begin(name, "GENERATION", parent, trace_id, parent_id, fields)

    def event(self, name: str, **fields: Unpack[SpanDetails]) -> None:
        """Record an event, which has no duration, in the current span or trace."""
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
        """Return a decorator that records each call of a function as a span.

        Use it as ``@tracer.observe`` or ``@tracer.observe("name", type="TOOL",
        capture_input=False)``. It also decorates coroutine functions and generators.
        """
        return Observe(self)

    def current_span(self) -> Span | None:
        """Return the innermost open span of this task or thread; ``None`` if there is none."""
        scope = current_of(self)
        return scope if isinstance(scope, Span) else None

    def current_trace_id(self) -> str | None:
        """Return the id of the current trace; ``None`` if there is none."""
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
        """Send a score of a trace, an observation or a session; by default, of the current trace.

        ``data_type`` follows from ``value``: NUMERIC for numbers, BOOLEAN for booleans, CATEGORICAL
        for texts. A score replaces an earlier one with the same ``id``.
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
        """Queue an event of the contract; ``text_chars`` is the total length of its long texts."""
        try:
            self._delivery.add(event, EVENT_OVERHEAD_BYTES + text_chars)
        except Exception as error:  # noqa: BLE001 - for example if no thread can be started
            self.problems.mistake("deliver", error)

    def check_budget(
        self,
        *,
        estimated_usd: Amount | None = None,
        estimated_tokens: Mapping[str, int] | None = None,
        fail: Fail | None = None,
        timeout_s: float | None = None,
        cache_s: float | None = None,
        **call: str | Iterable[str] | None,
    ) -> BudgetDecision:
        """Return the decision of the project's budgets about a call that is to be made.

        ``call`` describes it: ``user_id``, ``model``, ``session_id``, ``tags`` and other dimensions
        of spend; ``environment`` is that of the tracer by default. ``estimated_tokens``, by usage
        type, are priced as calls of ``model``. The defaults of ``fail``, ``timeout_s`` and
        ``cache_s`` are options.

        Raises:
            BudgetExceeded: the call is denied, or, with ``fail="closed"``, the API did not answer
                within ``timeout_s``.
        """
        fields = fields_of(self._environment, call, estimated_usd, estimated_tokens)
        return self._budgets.check(fields, fail, timeout_s, cache_s)

    async def acheck_budget(
        self,
        *,
        estimated_usd: Amount | None = None,
        estimated_tokens: Mapping[str, int] | None = None,
        fail: Fail | None = None,
        timeout_s: float | None = None,
        cache_s: float | None = None,
        **call: str | Iterable[str] | None,
    ) -> BudgetDecision:
        """Check budgets like ``check_budget``, without blocking the event loop."""
        fields = fields_of(self._environment, call, estimated_usd, estimated_tokens)
        return await self._budgets.acheck(fields, fail, timeout_s, cache_s)

    @property
    def budget_stats(self) -> BudgetStats:
        """Return the numbers of checks of budgets by outcome."""
        return self._budgets.stats()

    @property
    def stats(self) -> Stats:
        """Return the numbers of events by outcome."""
        return self._delivery.stats()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until Kafka has acknowledged all events so far.

        Return false if it has not within ``timeout_s``; the events stay in the buffer.
        """
        return self._delivery.flush(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Flush and stop; return whether all events were delivered within ``timeout_s``.

        Events that were not delivered count as failed, and later ones are dropped.
        """
        _tracers.discard(self)
        return self._delivery.close(timeout_s)

    async def aflush(self, timeout_s: float = 10.0) -> bool:
        """Flush like ``flush``, without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout_s)

    async def aclose(self, timeout_s: float = 10.0) -> bool:
        """Close like ``close``, without blocking the event loop."""
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
        """Start with an empty buffer in a forked child; the parent delivers its own events."""
        _inherited.append(self._delivery)
        self.problems = ProblemLog(self.options.log_interval_s)
        self._delivery = Delivery(self.options, self.problems)
        self._budgets = BudgetChecks(self.options, self.problems)


_tracers: Final[weakref.WeakSet[Tracer]] = weakref.WeakSet()
_inherited: Final[list[Delivery]] = []
"""Deliveries that a fork copied from the parent; freeing their event loops would log warnings."""


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
# Resolving the broker's name needs a thread, and atexit cannot start one: flush before it as well.
getattr(threading, "_register_atexit", atexit.register)(_flush_all)
atexit.register(_close_all)
