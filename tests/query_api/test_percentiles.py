"""A percentile is the value at the nearest rank, whoever is asked, also of a few values."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clickhouse.rows import WindowRow
from streams.core.rollups.sketch import key_of, quantile, state_hex
from tests.query_api.harness import NOON_US, PROJECT, Api, observation, trace

LATENCIES_MS = (
    [10_000],
    [100, 10_000],
    [100, 200, 300, 400, 5_000],
    [*range(100, 2_000, 100), 60_000],
    [*range(1_000, 101_000, 1_000)],
)
LEVELS = (0.5, 0.9, 0.95, 0.99)
RANGE = {"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T12:01:00Z"}


def nearest_rank(values: list[int], level: float) -> int:
    return sorted(values)[math.ceil(round(level * len(values), 9)) - 1]


@pytest.mark.parametrize("latencies_ms", LATENCIES_MS, ids=len)
async def test_all_sources_use_the_nearest_rank(api: Api, latencies_ms: list[int]) -> None:
    bins: dict[int, int] = {}
    for each in latencies_ms:
        key = key_of(each * 1_000)
        bins[key] = bins.get(key, 0) + 1
    rows: list[Any] = [
        WindowRow(
            project_id=PROJECT, window_s=NOON_US // 1_000_000, environment="e", model="m",
            name="n", row_version=1, observation_count=len(latencies_ms),
            latency_state_hex=state_hex(bins),
        )
    ]  # fmt: skip
    for number, each in enumerate(latencies_ms):
        end_us = NOON_US + each * 1_000
        rows.append(trace(f"t{number}", end_us=end_us, user_id="ada"))
        rows.append(observation(f"t{number}", f"o{number}", end_us=end_us, model="m"))
    await api.insert(*rows)
    expected = {f"p{level * 100:g}": nearest_rank(latencies_ms, level) for level in LEVELS}
    about = pytest.approx(expected, rel=0.0101)

    windows = (await api.client.get("/v1/windows", params=RANGE | {"step": "1m"})).json()
    found = windows["data"][0]["latency_ms"]
    assert {name: found[name] for name in expected} == about
    for view in ("observations", "traces"):
        of = {f"latency_ms.{name}": name for name in expected}
        body = RANGE | {"view": view, "measures": [*of]}
        for exact, wanted in ((False, about), (True, expected)):
            answer = await api.client.post("/v1/query", json=body | {"exact_percentiles": exact})
            values = answer.json()["data"][0]["values"]
            assert {of[name]: value for name, value in values.items()} == wanted, (view, exact)
    (user,) = (await api.client.get("/v1/users")).json()["data"]
    shown = user["latency_ms"]
    assert (shown["p50"], shown["p95"]) == (expected["p50"], expected["p95"])
    of_stream = {f"p{level * 100:g}": quantile(bins, level) / 1_000 for level in LEVELS}
    assert of_stream == about
