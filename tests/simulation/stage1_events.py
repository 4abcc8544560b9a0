"""Generate random events of few traces: whole, partial, corrections, ties, changes of time."""

from __future__ import annotations

from random import Random
from typing import Any

from tracemill.contract import Event, Observation, Score, TraceAttributes, TraceUpdate

MIDNIGHT_US = 1_795_046_400_000_000
MINUTE_US = 60_000_000
PROJECTS = ("p1", "p2")
NAMES = ("plan", "search", "answer")
MODELS = ("cheap", "dear", "unknown")
USERS = ("ann", "bob")
PARENTS = ("o0", "o0", "o0", "o1", "o2")
TYPES = {"plan": "AGENT", "search": None, "answer": "GENERATION"}
API_KEYS = ("pk-1", "pk-2")
METADATA = ('{"user_tier": "free"}', '{"user_tier": "pro"}', '{"user_tier": {"no": "text"}}')
ENVIRONMENTS = ("production", "staging")


def random_events(chance: Random, count: int, traces: int = 5) -> list[Event]:
    """Return ``count`` events of that many traces in each project; most ids occur several times."""
    in_parts = chance.choice((0.0, 0.3, 0.8))
    return [_random_event(chance, in_parts, traces) for _ in range(count)]


def _random_event(chance: Random, in_parts: float, traces: int) -> Event:
    project_id = chance.choice(PROJECTS)
    trace_id = f"t{chance.randrange(traces)}"
    ts_us = MIDNIGHT_US + chance.randrange(12) * 1_000
    draw = chance.random()
    if draw < 0.12:
        return TraceUpdate(
            project_id=project_id,
            trace_id=trace_id,
            ts_us=ts_us,
            environment=_maybe(chance, ENVIRONMENTS),
            trace=_attributes(chance),
        )
    if draw < 0.2:
        return Score(
            project_id=project_id,
            id=f"s{chance.randrange(traces)}",
            ts_us=ts_us - chance.randrange(2) * MINUTE_US,
            name="taste",
            data_type="NUMERIC",
            value=float(chance.randrange(5)),
            trace_id=trace_id,
        )
    observation_id = f"o{chance.randrange(4)}"
    # Most observations are told in one way only, as an SDK does; some in both.
    partial = chance.random() < in_parts
    if partial:
        return _part(chance, project_id, trace_id, observation_id, ts_us)
    return _whole(chance, project_id, trace_id, observation_id, ts_us)


def _whole(
    chance: Random, project_id: str, trace_id: str, observation_id: str, ts_us: int
) -> Observation:
    """Of two whole events made at the same time, those whose numbers are equal are equal."""
    start_us = _start(chance)
    name = chance.choice(NAMES)
    usage = _usage(chance)
    end_us = _maybe(chance, (start_us + 5_000, start_us + 70_000_000, start_us - 1_000))
    first_us = _maybe(chance, (start_us + 2_000,)) if (end_us or start_us) >= start_us else None
    return Observation(
        project_id=project_id,
        trace_id=trace_id,
        id=observation_id,
        ts_us=ts_us,
        name=name,
        environment=_maybe(chance, ENVIRONMENTS),
        start_us=start_us,
        end_us=end_us,
        level=_maybe(chance, ("DEFAULT", "ERROR")),
        model=_maybe(chance, MODELS),
        usage=usage,
        cost=_maybe(chance, ({"total": 77}, {"input": 5, "output": 6})) if usage else None,
        type=TYPES[name],
        parent_id=_maybe(chance, PARENTS),
        completion_start_us=first_us,
        **_descriptions(chance),
        api_key=_maybe(chance, API_KEYS),
        input=f"asked {name} at {start_us}",
        metadata=f'{{"name": "{name}"}}',
        trace=_maybe(chance, (_attributes(chance),)),
    )


def _part(
    chance: Random, project_id: str, trace_id: str, observation_id: str, ts_us: int
) -> Observation:
    start_us = _start(chance)
    return Observation(
        project_id=project_id,
        trace_id=trace_id,
        id=observation_id,
        ts_us=ts_us,
        partial=True,
        name=_maybe(chance, NAMES),
        environment=_maybe(chance, ENVIRONMENTS),
        start_us=_maybe(chance, (start_us,)),
        end_us=_maybe(chance, (start_us + 5_000,)),
        level=_maybe(chance, ("DEFAULT", "ERROR")),
        type=_maybe(chance, ("GENERATION", "AGENT", "TOOL")),
        parent_id=_maybe(chance, PARENTS),
        completion_start_us=_maybe(chance, (start_us + 2_000,)),
        **_descriptions(chance),
        model=_maybe(chance, MODELS),
        usage=_maybe(chance, (_usage(chance),)),
        api_key=_maybe(chance, API_KEYS),
        input=_maybe(chance, ("question", "", "another question")),
        output=_maybe(chance, ("answer",)),
        metadata=_maybe(
            chance, ("{}", '{"a": {"b": 1}}', '{"a": {"c": 2}}', '{"a": 3}', '{"d": [1]}')
        ),
        trace=_maybe(chance, (_attributes(chance),)),
    )


def _descriptions(chance: Random) -> dict[str, Any]:
    """Return fields that windows depend on."""
    return {
        "error_type": _maybe(chance, ("Timeout", "429")),
        "app_cache": _maybe(chance, (None, "exact", "semantic", "miss")),
        "provider": _maybe(chance, (None, "azure")),
        "prompt_name": _maybe(chance, (None, "greeting")),
        "prompt_version": _maybe(chance, (2, 3)),
        "service_tier": _maybe(chance, (None, "flex")),
    }


def _attributes(chance: Random) -> TraceAttributes:
    return TraceAttributes(
        name=_maybe(chance, ("chat",)),
        user_id=_maybe(chance, USERS),
        session_id=_maybe(chance, ("s1", "s2")),
        public=_maybe(chance, (True, False)),
        tags=_maybe(chance, (("x",), ("y", "x"))),
        metadata=_maybe(chance, (*METADATA, '{"k": 1}', '{"k": {"l": 2}}', '{"k": {"m": 3}}')),
        input=_maybe(chance, ("hello",)),
        start_us=_maybe(chance, (_start(chance),)),
    )


def _start(chance: Random) -> int:
    return MIDNIGHT_US + chance.choice((-2, -1, 0, 1)) * MINUTE_US + chance.randrange(3) * 10_000


def _usage(chance: Random) -> dict[str, int] | None:
    return _maybe(
        chance,
        (
            {"input": 10, "output": 2},
            {"input": 10, "output": 2},
            {"input": 20, "output": 4},
            {"input": 20, "output": 4, "input_cached": 6},
            {"input": 7, "total": 9},
            {"input": 4, "output": 0},
        ),
    )


def _maybe(chance: Random, values: tuple) -> object:
    return None if chance.random() < 0.4 else chance.choice(values)
