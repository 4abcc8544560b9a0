"""Compute the expected rows from the set of events, by applying them in the order of time."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import msgspec

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.dimensions.sources import SPEND_DIMENSIONS
from streams.core.rollups.sketch import key_of
from tests.simulation import summary_oracle
from tracemill.contract import Event, Observation, Score, TraceUpdate

FIELDS = (
    *("type", "name", "parent_id", "end_us", "level", "model"),
    *("usage", "cost", "input", "output", "completion_start_us", "error_type", "app_cache"),
    *("provider", "prompt_name", "prompt_version", "service_tier", "api_key"),
)
HITS = ("exact", "semantic")
SAVED_PER_CACHED = 9
"""What a cached token saves, in prices of a token."""
TRACE_FIELDS = ("name", "user_id", "session_id", "public", "input", "output")
RATES = {"cheap": 3, "dear": 1_000}


def observations_of(events: list[Event]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the expected fields of observation rows, by project, trace and id."""
    told = defaultdict(list)
    for event in events:
        if isinstance(event, Observation):
            told[event.project_id, event.trace_id, event.id].append(event)
    rows = {key: _observation(of_key) for key, of_key in told.items()}
    for project_id, trace_id in {key[:2] for key in rows}:
        summary_oracle.count(
            {key[2]: row for key, row in rows.items() if key[:2] == (project_id, trace_id)}
        )
    return rows


def _observation(told: list[Observation]) -> dict[str, Any]:
    wholes = [event for event in told if not event.partial]
    parts = sorted((event for event in told if event.partial), key=lambda event: event.ts_us)
    row: dict[str, Any] = {"metadata": {}, "start_us": None, "environment": None}
    if wholes:
        whole = max(wholes, key=lambda event: (event.ts_us, _rank(event)))
        parts = [part for part in parts if part.ts_us >= whole.ts_us]
        _say(row, whole)
        row["start_us"], row["environment"] = whole.start_us, whole.environment or "default"
    for ts_us in sorted({part.ts_us for part in parts}):
        now = [part for part in parts if part.ts_us == ts_us]
        for field in FIELDS:
            values = [getattr(part, field) for part in now if getattr(part, field)]
            if values:
                row[field] = max(values, key=_encoded)
        _merge_at_once(row["metadata"], [part.metadata for part in now if part.metadata])
        for field in ("start_us", "environment"):
            values = [getattr(part, field) for part in now if getattr(part, field)]
            if values and row[field] is None:
                row[field] = min(values)
    if row["start_us"] is None:
        row["start_us"] = min(part.ts_us for part in parts)
    row["environment"] = row["environment"] or "default"
    row["end_us"] = max(row["end_us"], row["start_us"]) if row.get("end_us") else 0
    first_us = row.get("completion_start_us") or 0
    row["completion_start_us"] = _first_token_us(first_us, row["start_us"], row["end_us"])
    _price(row)
    return row


def _say(row: dict[str, Any], event: Observation) -> None:
    for field in FIELDS:
        if getattr(event, field):
            row[field] = getattr(event, field)
    if event.metadata:
        row["metadata"] = json.loads(event.metadata)


def _price(row: dict[str, Any]) -> None:
    usage = dict(row.get("usage") or {})
    if usage:
        usage.setdefault("total", sum(usage.values()))
    given = row.get("cost")
    model = row.get("model")
    row["usage"], row["total_cost_pico"], row["cost_source"] = usage, 0, "none"
    is_hit, saved_pico = row.get("app_cache") in HITS, 0
    computed_pico = 0
    if usage and model in RATES:
        counts = {kind: count for kind, count in usage.items() if kind != "total"}
        computed_pico = RATES[model] * sum(counts.values())
        saved_pico = SAVED_PER_CACHED * RATES[model] * counts.get("input_cached", 0)
        if is_hit:
            saved_pico = computed_pico
    if given:
        row["cost_source"] = "given"
        row["total_cost_pico"] = given.get("total", sum(given.values()))
        if is_hit:
            saved_pico = max(computed_pico - row["total_cost_pico"], 0)
    elif usage and model in RATES:
        row["cost_source"] = "computed"
        row["total_cost_pico"] = 0 if is_hit else computed_pico
    elif usage and model and not is_hit:
        row["cost_source"] = "unpriced"
    row["saved_pico"] = saved_pico


def _rank(event: Observation) -> bytes:
    """Return a rank of a whole event, in the order of ``rank_of`` of the observation state."""
    given = -1
    if event.cost:
        given = event.cost.get("total", sum(event.cost.values()))
    usage = dict(event.usage or {})
    if usage:
        usage.setdefault("total", sum(usage.values()))
    severity = ("DEBUG", "DEFAULT", "WARNING", "ERROR").index(event.level or "DEFAULT")
    end_us = max(event.end_us, event.start_us) if event.end_us else 0
    return msgspec.json.encode(
        (
            event.start_us,
            end_us,
            given,
            sorted((kind, count) for kind, count in usage.items() if count),
            event.name or "",
            event.environment or "default",
            event.model or "",
            severity,
            2 if event.parent_id else 1,
            event.parent_id or "",
            (event.type or "SPAN") in summary_oracle.AGGREGATES,
            False,
            (*_dimensions(msgspec.structs.asdict(event)), event.api_key or ""),
            *_measured(event),
        )
    )


def _dimensions(row: dict[str, Any]) -> tuple[str, ...]:
    """Return type, level, prompt, its version, provider and tier."""
    version, model = row.get("prompt_version"), row.get("model")
    return (
        row.get("type") or "SPAN",
        row.get("level") or "DEFAULT",
        row.get("prompt_name") or "",
        str(version) if version else "",
        row.get("provider") or (provider_of(model) if model else ""),
        row.get("service_tier") or "",
    )


def _first_token_us(first_us: int, start_us: int, end_us: int) -> int:
    end_us = max(end_us, start_us) if end_us else first_us
    return min(first_us, end_us) if start_us <= first_us <= end_us + 1_000 else 0


def _measured(event: Observation) -> list[Any]:
    sent_us = event.completion_start_us or 0
    first_us = _first_token_us(sent_us, event.start_us or 0, event.end_us or 0)
    measured = (first_us, event.error_type or "", event.app_cache or "")
    return [measured] if any(measured) else []


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _merge_at_once(into: dict[str, Any], texts: list[str]) -> None:
    """Merge updates with the same time: objects before scalars, then the greater value."""
    said: dict[str, list[Any]] = defaultdict(list)
    for text in texts:
        for key, value in json.loads(text).items():
            said[key].append(value)
    for key, values in said.items():
        objects = [value for value in values if isinstance(value, dict)]
        if objects:
            if not isinstance(into.get(key), dict) or len(objects) < len(values):
                into[key] = {}
            _merge_at_once(into[key], [json.dumps(value) for value in objects])
        else:
            into[key] = max(values, key=_encoded)


def traces_of(events: list[Event]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the expected fields of trace rows, by project and trace."""
    observations = observations_of(events)
    said: dict[tuple[str, str], list[tuple[int, Any, Event]]] = defaultdict(list)
    for event in events:
        if isinstance(event, Score):
            continue
        said[event.project_id, event.trace_id].append((event.ts_us, event.trace, event))
    return {
        key: _trace(
            statements,
            {each[2]: row for each, row in observations.items() if each[:2] == key},
        )
        for key, statements in said.items()
    }


def _trace(
    statements: list[tuple[int, Any, Event]], observations: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"metadata": {}, "tags": set(), "observation_count": len(observations)}
    for ts_us in sorted({each[0] for each in statements}):
        now = [trace for at, trace, _ in statements if at == ts_us and trace is not None]
        for field in TRACE_FIELDS:
            values = [
                getattr(trace, field) for trace in now if getattr(trace, field) not in (None, "")
            ]
            if values:
                row[field] = max(values)
        for trace in now:
            row["tags"].update(trace.tags or ())
        _merge_at_once(row["metadata"], [trace.metadata for trace in now if trace.metadata])
    roots = [
        (each["start_us"], id_) for id_, each in observations.items() if not each.get("parent_id")
    ]
    root = observations[min(roots)[1]] if roots else {}
    row["root_observation_id"] = min(roots)[1] if roots else ""
    row["name"] = row.get("name") or root.get("name") or ""
    itself = [(at, event) for at, _, event in statements if isinstance(event, TraceUpdate)]
    stated = [(at, event.environment) for at, event in itself if event.environment]
    first = min(observations.items(), key=lambda each: (each[1]["start_us"], each[0]), default=None)
    row["environment"] = (
        min(stated)[1]
        if stated
        else root.get("environment") or (first[1]["environment"] if first else "default")
    )
    starts = [each["start_us"] for each in observations.values()]
    starts += [t.start_us for _, t, _ in statements if t is not None and t.start_us]
    row["start_us"] = min(starts) if starts else min(at for at, _ in itself)
    ends = [each["end_us"] or each["start_us"] for each in observations.values()]
    row["end_us"] = max(ends, default=0)
    row["total_cost_pico"] = sum(each["counted_pico"] for each in observations.values())
    row["error_count"] = sum(each.get("level") == "ERROR" for each in observations.values())
    row["unpriced_count"] = sum(each["is_unpriced"] for each in observations.values())
    row["usage"] = _sum(each["counted_usage"] for each in observations.values())
    row["summaries"] = {
        id_: each["counted_usage"]
        | ({"cost_pico": each["counted_pico"]} if each["counted_pico"] else {})
        for id_, each in observations.items()
        if each["is_summary"]
    }
    return row


def _sum(usages: Any) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for usage in usages:
        for kind, count in usage.items():
            total[kind] += count
    return {kind: count for kind, count in total.items() if count}


def provider_of(model: str) -> str:
    """Return the provider that the prices of the simulation name."""
    return f"maker of {model}"


def windows_of(events: list[Event]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    cells: dict[tuple[Any, ...], list[Any]] = {}
    for (project_id, _, _), row in observations_of(events).items():
        key = (
            project_id,
            row["start_us"] // 10_000_000 * 10,
            row["environment"],
            row.get("model") or "",
            row.get("name") or "",
            *_dimensions(row),
        )
        cell = cells.setdefault(key, [0, 0, 0, defaultdict(int), defaultdict(int), Counter()])
        cell[0] += 1
        cell[1] += row.get("level") == "ERROR"
        cell[2] += row["counted_pico"]
        for kind, count in row["counted_usage"].items():
            cell[3][kind] += count
        if row["end_us"]:
            cell[4][key_of(row["end_us"] - row["start_us"])] += 1
        cell[5].update(_measures(row))
    return {
        key: (*cell[:3], _sum([cell[3]]), dict(cell[4]), _sum([cell[5]]))
        for key, cell in cells.items()
    }


def _measures(row: dict[str, Any]) -> Counter[Any]:
    """Return what an observation counts in the measures that only some observations have."""
    found: Counter[Any] = Counter()
    is_summary = row["is_summary"]
    found["unpriced"] += row["is_unpriced"]
    if row.get("level") == "ERROR":
        found["error_types", row.get("error_type") or "unknown"] += 1
    duration_us = row["end_us"] - row["start_us"]
    if row.get("completion_start_us"):
        found["ttft_bins", key_of(row["completion_start_us"] - row["start_us"])] += 1
    if duration_us > 0 and row["usage"].get("output") and not is_summary:
        found["rate_bins", key_of(row["usage"]["output"] * 10**9 / duration_us)] += 1
    cache = row.get("app_cache")
    if cache:
        found[f"cache_{cache}"] += 1
    if not is_summary:
        found["app_saved_pico" if cache in HITS else "cached_saved_pico"] += row["saved_pico"]
    return found


def spend_of(events: list[Event]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """Return cost, observations, errors, tokens and calls without a price, by cell."""
    traces = traces_of(events)
    cells: dict[tuple[Any, ...], list[int]] = {}
    for (project_id, trace_id, _), row in observations_of(events).items():
        values = _spend_values(row, traces[project_id, trace_id])
        start_s = row["start_us"] // 10_000_000 * 10
        key = (project_id, start_s, *(values[each.name] for each in SPEND_DIMENSIONS))
        cell = cells.setdefault(key, [0] * 7)
        usage = row["counted_usage"]
        outputs = usage.get("output", 0)
        inputs = sum(n for kind, n in usage.items() if kind not in ("output", "total"))
        cell[0] += row["counted_pico"]
        cell[1] += 1
        cell[2] += row.get("level") == "ERROR"
        cell[3] += inputs
        cell[4] += outputs
        cell[5] += max(usage.get("total", 0), inputs + outputs)
        cell[6] += row["is_unpriced"]
    return {key: tuple(cell) for key, cell in cells.items()}


def _spend_values(row: dict[str, Any], trace: dict[str, Any]) -> dict[str, str]:
    tier = trace["metadata"].get("user_tier")
    return {
        "user_id": trace.get("user_id") or "",
        "session_id": trace.get("session_id") or "",
        "trace_name": trace["name"],
        "tags": json.dumps(sorted(trace["tags"]), separators=(",", ":")) if trace["tags"] else "",
        "user_tier": tier if isinstance(tier, str) else "",
        "environment": row["environment"],
        "model": row.get("model") or "",
        "provider": _dimensions(row)[4],
        "prompt_name": row.get("prompt_name") or "",
        "api_key": row.get("api_key") or "",
    }


def said_by_observation(row: ObservationRow) -> dict[str, Any]:
    """A stored row in the oracle's words."""
    return {
        "start_us": row.start_us,
        "end_us": row.end_us,
        "environment": row.environment,
        "metadata": json.loads(row.metadata or "{}"),
        "type": row.type,
        "name": row.name,
        "parent_id": row.parent_id,
        "level": row.level,
        "model": row.model,
        "usage": row.usage,
        "input": row.input,
        "output": row.output,
        "total_cost_pico": row.total_cost_pico,
        "cost_source": row.cost_source,
    }


def said_by_trace(row: TraceRow) -> dict[str, Any]:
    return {
        "start_us": row.start_us,
        "end_us": row.end_us,
        "name": row.name,
        "user_id": row.user_id,
        "session_id": row.session_id,
        "environment": row.environment,
        "public": bool(row.public),
        "tags": set(row.tags),
        "metadata": json.loads(row.metadata or "{}"),
        "input": row.input,
        "output": row.output,
        "root_observation_id": row.root_observation_id,
        "observation_count": row.observation_count,
        "error_count": row.error_count,
        "unpriced_count": row.unpriced_count,
        "usage": row.usage,
        "total_cost_pico": row.total_cost_pico,
        "summaries": row.summaries,
    }


def expected(said: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """Return an expected row, completed with the defaults of rows."""
    defaults = {"type": "SPAN", "level": "DEFAULT", "public": False}
    return {
        field: said.get(field) or defaults.get(field, type(value)())
        for field, value in like.items()
    }
