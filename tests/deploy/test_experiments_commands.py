"""`tracemill experiments compare`: the report, and conditions that fail a CI job."""

from __future__ import annotations

import json

import httpx
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.failures import exit_code_for
from query_api.openapi.experiment_examples import COMPARISON_EXAMPLE
from tests.deploy.mocked_api import mock_api


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Answer every request with the example of the API's description, and return the requests."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = json.loads(json.dumps(COMPARISON_EXAMPLE))
        answer["dataset"] = "a|<b>"
        return httpx.Response(200, json=answer)

    mock_api(monkeypatch, respond)
    return requests


def run(*words: str, code: int = 0) -> str:
    ended = CliRunner().invoke(
        app, ["experiments", "compare", "--dataset", "a/b", *words], terminal_width=1_000
    )
    assert ended.exit_code == code, ended.output
    return ended.output


def test_the_report_is_printed_in_each_format(sent: list[httpx.Request]) -> None:
    printed = run("gpt-4o-mini", "gpt-4o")
    assert "# Experiments on a\\|\\<b\\>" in printed
    assert "| gpt-4o-mini | 1 | 0 | 0.00036 | 812.5 | 812.5 | 1500 | 0.5 |" in printed
    assert "| gpt-4o | refund | not\\_run |" in printed
    page = run("gpt-4o-mini", "gpt-4o", "--format", "html")
    assert "<h1>Experiments on a|&lt;b&gt;</h1>" in page
    assert json.loads(run("one, two", "--format", "json"))["runs"]
    assert [request.url.params.get_list("runs") for request in sent] == [
        ["gpt-4o-mini", "gpt-4o"],
        ["gpt-4o-mini", "gpt-4o"],
        ["one, two"],
    ]
    assert sent[0].url.params["dataset"] == "a/b"


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("mean(correctness) < 0.8", 0),
        ("mean(correctness) <= 1", 1),
        ("mean(scores.correctness) == 1", 1),
        ("mean(cost_usd) > 0.001", 1),
        ("p95(latency_ms)>1e3", 0),
        ("diff(correctness) < 0", 0),
        ("diff(cost_usd) > 0", 1),
        ("regressions() > 0", 0),
        ("improvements() >= 1", 1),
        ("missing() != 0", 1),
        ("failed() > 0", 0),
        ("mean(absent) < 0.8", 1),
    ],
)
def test_a_condition_that_holds_fails_the_command(condition: str, code: int) -> None:
    printed = run("a", "b", "--fail-if", condition, code=code)
    assert (f"failed: {condition}" in printed) == bool(code)


@pytest.mark.parametrize(
    "condition",
    [
        "", "correctness < 1", "mean(x) < 1.2.3", "sum(tokens) > 1", "mean() < 1",
        "failed(right) > 0", "mean(x) < 1 or 2",
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_read_is_refused_before_anything_is_asked(
    sent: list[httpx.Request], condition: str
) -> None:
    ended = CliRunner().invoke(
        app, ["experiments", "compare", "--dataset", "d", "a", "--fail-if", condition]
    )
    assert exit_code_for(ended.exception) == 2
    assert "--fail-if" in str(ended.exception)
    assert not sent


def test_a_gate_fails_if_a_number_is_not_known_because_the_list_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = json.loads(json.dumps(COMPARISON_EXAMPLE))
    cut["left_out"]["regressions"] = 3
    mock_api(monkeypatch, lambda _: httpx.Response(200, json=cut))
    printed = run("a", "b", "--fail-if", "regressions() > 0", code=1)
    assert "regressions() is at least 0, because the list is cut" in printed
    run("a", "b", "--fail-if", "failed() > 0")
    run("a", "b", "--fail-if", "mean(correctness) < 0.8")
