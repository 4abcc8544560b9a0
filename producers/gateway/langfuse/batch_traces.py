"""Find the traces of events without a trace id, from the other events of their batch."""

from __future__ import annotations

from collections.abc import Iterable

from producers.gateway.langfuse.bodies import ObservationBody, ScoreBody
from producers.gateway.langfuse.ingestion_events import ReadEvent
from producers.gateway.recent_traces import RecentTraces


class BatchTraces:
    """Find the traces of the events of a batch.

    An event without a trace id belongs to the trace of other events of its observation, or else to
    the trace of its parent. A create event without a parent begins a new trace.
    """

    def __init__(self, events: Iterable[ReadEvent], project_id: str, recent: RecentTraces) -> None:
        self._project_id = project_id
        self._recent = recent
        self.found: dict[str, str] = {}
        """Trace ids by observation, as far as they are known."""
        self._parents: dict[str, str] = {}
        self._begins: set[str] = set()
        for event in events:
            body = event.body
            if isinstance(body, ObservationBody):
                observation_id = body.id or event.id
                if body.trace_id:
                    self.found[observation_id] = body.trace_id
                elif body.parent_observation_id:
                    self._parents[observation_id] = body.parent_observation_id
                elif not event.is_update:
                    self._begins.add(observation_id)

    def trace_of(self, event: ReadEvent) -> str | None:
        """Return the trace of an event that does not name it; None if it is not known."""
        body = event.body
        if isinstance(body, ObservationBody):
            return self._resolved(body.id or event.id)
        if isinstance(body, ScoreBody) and body.observation_id:
            return self._resolved(body.observation_id)
        return None

    def _resolved(self, observation_id: str) -> str | None:
        """Follow the parents to an observation whose trace is known."""
        path: dict[str, None] = {}
        at: str | None = observation_id
        trace_id = None
        while at is not None and at not in path:
            path[at] = None
            trace_id = self.found.get(at) or self._recent.trace_of(self._project_id, at)
            if trace_id is None and at in self._begins and at not in self._parents:
                trace_id = at
            if trace_id is not None:
                self.found.update(dict.fromkeys(path, trace_id))
                return trace_id
            at = self._parents.get(at)
        return None
