"""An error about an unknown field of a body lists the fields that are allowed at its place."""

import pytest

from tests.query_api.harness import Api

LIMIT = {"name": "h", "period": "hour", "limit_usd": "1"}
VALID: dict[str, dict[str, object]] = {
    "/v1/budgets": {"name": "n", "period": "day", "limit_usd": "1"},
    "/v1/alert-rules": {"name": "n", "metric": "cost", "threshold": "1"},
    "/v1/routes": {"name": "n", "channel_ids": ["ch_1"]},
    "/v1/silences": {
        "author": "ada", "reason": "r", "matchers": {"rule_id": "r"},
        "ends_at": "2099-01-01T00:00:00Z",
    },
    "/v1/webhooks": {"url": "https://example.com", "events": ["alert.firing"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "field", "known"),
    [
        ("/v1/budgets", {"scope": {"user": "a"}}, "scope.user", "user_id"),
        ("/v1/budgets", {"limit": "1"}, "limit", "limit_usd"),
        ("/v1/budgets", {"limits": [LIMIT | {"usd": "1"}]}, "limits.0.usd", "limit_usd"),
        ("/v1/budgets", {"burn_rate": {"quick": "5m"}}, "burn_rate.quick", "fast"),
        ("/v1/alert-rules", {"duration": "1m"}, "duration", "for"),
        ("/v1/alert-rules", {"anomaly": {"x": 1}}, "anomaly.x", "weeks"),
        ("/v1/routes", {"wait": "1m"}, "wait", "group_wait_s"),
        ("/v1/silences", {"until": "x"}, "until", "ends_at"),
        ("/v1/webhooks", {"uri": "x"}, "uri", "url"),
    ],
)
async def test_what_is_allowed_instead_of_an_unknown_field_is_listed(
    api: Api, path: str, body: dict[str, object], field: str, known: str
) -> None:
    refused = await api.client.post(path, json=VALID[path] | body)
    assert refused.status_code == 422, refused.text
    error = refused.json()["error"]
    assert (error["field"], known in error["allowed"]) == (field, True), error
    assert f" {known}" in error["message"]
