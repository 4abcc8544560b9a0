"""Deleted traces count nowhere, and their late events are dropped."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from tests.fixtures.installation import Server
from tests.fixtures.waiting import until

WORDS = {"model": "gpt-4o", "usageDetails": {"input": 1000, "output": 100}}


def send(client: httpx.Client, trace_id: str, user: str, number: int = 0) -> None:
    """Send a trace with a call and a score, by the ingestion API."""
    at = datetime.now(UTC).isoformat()
    bodies = [
        ("trace-create", {"id": trace_id, "userId": user, "sessionId": f"of-{user}"}),
        (
            "generation-create",
            {"id": f"{trace_id}-{number}", "traceId": trace_id, "name": user, "startTime": at}
            | WORDS,
        ),
        ("score-create", {"id": f"s-{trace_id}", "traceId": trace_id, "name": "q", "value": 1}),
    ]
    batch = [
        {"id": str(uuid.uuid4()), "type": kind, "timestamp": at, "body": body}
        for kind, body in bodies
    ]
    answer = client.post("/api/public/ingestion", json={"batch": batch})
    assert len(answer.json()["successes"]) == len(batch), answer.text


def cost(client: httpx.Client, path: str) -> Decimal:
    return Decimal(client.get(path).json()["cost_usd"])


def found(client: httpx.Client, user: str) -> set[str]:
    answer = client.get("/api/public/traces", params={"userId": user})
    return {each["id"] for each in answer.json()["data"]}


def in_windows(client: httpx.Client, name: str) -> tuple[int, Decimal]:
    rows: list[dict[str, Any]] = client.get(
        "/v1/windows", params={"step": "1h", "group_by": "name", "fields": "count,cost"}
    ).json()["data"]
    mine = [row for row in rows if row["name"] == name]
    return sum(row["count"] for row in mine), sum(
        (Decimal(row["cost_usd"]) for row in mine), Decimal()
    )


def alerted(client: httpx.Client, alerts: dict[str, str]) -> set[str]:
    """Return the types of the alerts of a budget."""
    return {each["type"] for each in client.get("/v1/alerts", params=alerts).json()["data"]}


def test_a_deleted_trace_counts_nowhere_and_stays_away(
    installation: Server, client: httpx.Client
) -> None:
    user, mark = f"ada-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex[:8]
    ids = [f"{mark}-{number}" for number in range(5)]
    budget = {"name": user, "scope": {"user_id": user}, "period": "day", "thresholds": [1]}
    made = client.post("/v1/budgets", json={**budget, "limit_usd": "0.01"})
    for trace_id in ids:
        send(client, trace_id, user)
    until(lambda: found(client, user) == set(ids))
    totals = f"/v1/users/{user}/totals"
    until(lambda: cost(client, totals) > 0)
    one = cost(client, f"/v1/traces/{ids[0]}/totals")
    until(lambda: cost(client, totals) == 5 * one)
    until(lambda: in_windows(client, user) == (5, 5 * one))

    alerts = {"budget_id": made.json()["id"]}
    until(lambda: "budget.threshold_crossed" in alerted(client, alerts))

    answers = [
        client.delete(f"/api/public/traces/{ids[0]}"),
        client.delete(f"/v1/traces/{ids[1]}"),
        client.request("DELETE", "/api/public/traces", json={"traceIds": ids[2:3]}),
        client.request("DELETE", "/v1/traces", json={"trace_ids": [ids[3], "unknown", ids[3]]}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert "deleted successfully" in answer.json()["message"]
    send(client, ids[0], user, number=1)  # late

    until(lambda: found(client, user) == {ids[4]})
    until(lambda: cost(client, totals) == one)
    until(lambda: cost(client, f"/v1/sessions/of-{user}/totals") == one)
    until(lambda: in_windows(client, user) == (1, one))
    assert client.get(f"/api/public/traces/{ids[0]}").status_code == 404
    until(lambda: client.get(f"/api/public/scores/s-{ids[0]}").status_code == 404)
    assert client.get(f"/api/public/scores/s-{ids[4]}").status_code == 200
    listed = client.get("/api/public/observations", params={"userId": user}).json()["data"]
    assert {each["traceId"] for each in listed} == {ids[4]}
    (row,) = [each for each in client.get("/v1/users").json()["data"] if each["id"] == user]
    assert row["traces"] == 1
    until(lambda: "budget.corrected" in alerted(client, alerts))
