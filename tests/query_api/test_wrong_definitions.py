"""A wrong value anywhere in a definition is refused with its field, and is never an error of ours.

Every field of the valid bodies below, also in nested objects and lists, is replaced by every wrong
value, as raw JSON, so that also what JSON encoders refuse to write is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.query_api.harness import Api
from tests.query_api.test_channel_routes import HOST, SLACK

RULE: dict[str, Any] = {
    "name": "r", "description": "d", "enabled": True, "shadow": False, "metric": "p95_latency",
    "filter": {"environment": ["production"], "model": ["m"]}, "group_by": ["model"],
    "comparison": ">", "threshold": 5, "recovery_threshold": 4, "window": "5m",
    "time_zone": "Europe/Berlin", "min_count": 1, "for": "1m", "keep_firing_for": 60,
    "renotify_interval": "4h", "no_data": "ok", "severity": "warning", "labels": {"team": "a"},
    "annotations": {"summary": "{{ group.model }}"}, "inhibited_by": ["team"],
    "anomaly": {"weeks": 2, "season": "week", "direction": "both", "samples_min": 2},
}  # fmt: skip
COST_RULE = {"name": "r", "metric": "cost", "threshold": "1.5", "window": "1d"}
BUDGET: dict[str, Any] = {
    "name": "b", "scope": {"environment": "production"}, "group_by": ["user_id"], "period": "day",
    "time_zone": "UTC", "tiers": {"free": "0.10"}, "default_tier": "free",
    "overrides": {"ada": "5"}, "thresholds": [0.8, 1], "forecast": "linear",
    "burn_rate": {"fast": "5m", "slow": "1h", "factor": 10},
}  # fmt: skip
LIMITS_BUDGET = {
    "name": "b", "limits": [{"name": "soft", "period": "hour", "limit_usd": "1"}],
    "thresholds": [1],
}  # fmt: skip
SILENCE: dict[str, Any] = {
    "matchers": [{"name": "model", "op": "=", "value": "m"}], "reason": "r", "author": "a",
    "starts_at": "2026-11-21T12:00:00Z", "ends_at": "2126-11-21T12:00:00Z",
}  # fmt: skip
ROUTE: dict[str, Any] = {
    "name": "r", "events": ["alert.firing"], "severities": ["info"], "rule_ids": ["r"],
    "labels": {"model": ["m"]}, "channel_ids": ["CHANNEL"], "group_by": ["rule_id"],
    "group_wait": "10s", "group_interval_s": 300, "repeat_interval": 0,
}  # fmt: skip
CHANNEL = SLACK | {
    "events": ["alert.firing"], "send_resolved": True, "title_template": "t",
    "text_template": "{{ status }}", "rate_per_minute": 60,
}  # fmt: skip
EMAIL = {
    "type": "email", "name": "m", "host": "93.184.216.34", "port": 25, "security": "none",
    "sender": "a@example.com", "recipients": ["b@example.com"], "username": "a", "password": "b",
}  # fmt: skip
DEFINITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "rule": ("/v1/alert-rules", RULE),
    "rule about cost": ("/v1/alert-rules", COST_RULE),
    "backtest": (
        "/v1/alert-rules/backtest",
        {"rule": COST_RULE, "from": "2026-11-21T12:00:00Z", "to": "2026-11-21T13:00:00Z"},
    ),
    "budget": ("/v1/budgets", BUDGET),
    "budget with limits": ("/v1/budgets", LIMITS_BUDGET),
    "budget backtest": (
        "/v1/budgets/backtest",
        {"budget": LIMITS_BUDGET, "from": "2026-11-21T12:00:00Z", "to": "2026-11-21T13:00:00Z"},
    ),
    "silence": ("/v1/silences", SILENCE),
    "route": ("/v1/routes", ROUTE),
    "channel": ("/v1/channels", CHANNEL),
    "e-mail": ("/v1/channels", EMAIL),
    "webhook": ("/v1/webhooks", {"url": f"{HOST}/x", "events": ["alert.firing"]}),
    "decision": ("/v1/budgets/decisions", {"requests": [{"user_id": "a", "estimated_usd": "1"}]}),
    "tier": ("/v1/tiers", {"data": [{"user_id": "ada", "tier": "free"}]}),
    "what-if": (
        "/v1/what-if",
        {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z", "model": "gpt-4o"},
    ),
}
WRONG = (
    "null", "true", "0", "-1", "1.5", "NaN", "-Infinity", "1e400", "1" + "0" * 400,
    "1" + "0" * 5_000, '""', '"\\u0000"', '"\\ud800"', '"x"', '"NaN"', '"-0"', '"1e5"', '"\\u0661"',
    '"' + "x" * 5_000 + '"', '"{{ x }}"', '"{% for a in b %}"', '"{{ \'a\' * 1000000000 }}"',
    "[]", "[null]", "[[]]", "{}", '{"x": null}', '{"": {"": []}}', "[" * 300 + "]" * 300,
)  # fmt: skip
_MARK = "\x00wrong\x00"


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each member of a JSON value, and of the value itself."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_of(member, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], wrong: str) -> str:
    """Return a body as JSON text in which the member at ``path`` is ``wrong``."""
    changed = json.loads(json.dumps(value))
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = _MARK
    return json.dumps(changed).replace(json.dumps(_MARK), wrong)


@pytest.mark.parametrize("kind", DEFINITIONS)
async def test_a_wrong_value_is_refused_with_its_field_whatever_it_replaces(
    api: Api, kind: str
) -> None:
    path, body = DEFINITIONS[kind]
    channel = (await api.client.post("/v1/channels", json=SLACK)).json()["id"]
    body = json.loads(json.dumps(body).replace("CHANNEL", channel))
    headers = {"content-type": "application/json"}
    valid = await api.client.request("PUT" if kind == "tier" else "POST", path, json=body)
    assert valid.status_code in {200, 201, 204}, valid.text
    faults: list[Any] = []
    for place in paths_of(body):
        for wrong in WRONG:
            content = replaced(body, place, wrong)
            answer = await api.client.request(
                "PUT" if kind == "tier" else "POST", path, content=content, headers=headers
            )
            error = answer.json()["error"] if answer.status_code == 422 else {"field": "none"}
            if answer.status_code not in {200, 201, 204, 400, 409, 422} or not error["field"]:
                faults.append((place, wrong[:60], answer.status_code, answer.text[:300]))
    assert not faults
