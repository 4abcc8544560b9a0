"""`tracemill alerts`: what the commands send and print."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from tests.deploy.mocked_api import mock_api

RULE = {"id": "rule_1", "name": "Slow", "metric": "avg_latency", "threshold": 5, "enabled": True}
STATE = {"episode_id": "episode_1", "rule_name": "Slow", "state": "firing", "group": {"model": "m"}}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Answer every request like the server would, and return the requests."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        path = request.url.path
        if path.endswith("/acknowledge"):
            return httpx.Response(200, json={"episode_id": "e/1", "author": "ada"})
        if request.method == "POST":
            return httpx.Response(201, json={"id": "sil_1", "state": "active"})
        item = STATE if path == "/v1/alerts" else RULE
        return httpx.Response(200, json={"data": [item], "meta": {"cursor": None}})

    mock_api(monkeypatch, respond)
    return requests


def run(*words: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["alerts", *words], terminal_width=1_000)
    assert ended.exit_code == code, ended.output
    return ended.output


def test_rules_and_current_alerts_are_listed(sent: list[httpx.Request]) -> None:
    assert "rule_1" in run("rules")
    assert "episode_1" in run("list")
    assert json.loads(run("list", "--state", "firing", "--json")) == {"data": [STATE]}
    assert [request.url.params.get("state") for request in sent] == [
        None, "pending,firing,recovering,no_data,error", "firing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"unit": "s"}, "5 s"),
        ({"unit": "s", "compare_with": "week"}, "5 times"),
        ({"unit": "s", "anomaly": {"weeks": 4}}, "5 deviations"),
    ],
)
def test_thresholds_have_the_unit_of_what_is_compared(
    sent: list[httpx.Request], monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], shown: str
) -> None:
    monkeypatch.setitem(globals(), "RULE", RULE | fields)
    assert shown in run("rules")


def test_a_silence_is_created_from_conditions_and_expired(sent: list[httpx.Request]) -> None:
    printed = run("silence", "team=search", "model=~gpt-4.*", "x!=a=b", "--for", "2h")
    assert "sil_1" in printed
    assert json.loads(sent[0].content) == {
        "matchers": [
            {"name": "team", "op": "=", "value": "search"},
            {"name": "model", "op": "=~", "value": "gpt-4.*"},
            {"name": "x", "op": "!=", "value": "a=b"},
        ],
        "duration": "2h", "author": "", "reason": "",
    }  # fmt: skip
    run("expire", "sil_1")
    assert sent[1].url.path == "/v1/silences/sil_1/expire"
    assert "MATCHER" in run("silence", "team", "--for", "2h", code=2)


def test_an_episode_is_acknowledged_whatever_its_id_contains(sent: list[httpx.Request]) -> None:
    assert "ada" in run("ack", "e/1", "--author", "ada", "--note", "x")
    assert sent[0].url.raw_path == b"/v1/alerts/e%2F1/acknowledge"
    assert json.loads(sent[0].content) == {"author": "ada", "note": "x"}
