"""`tracemill measures`: the request, and its rows as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.failures import exit_code_for
from query_api.openapi.query_examples import EXPLAIN_EXAMPLE, QUERY_EXAMPLE
from query_api.v1.query_bodies import QueryBody
from tests.deploy.mocked_api import mock_api

ROW = {
    "start": None, "end": None, "group": {"model": "=1+1"}, "is_other": False,
    "values": {"cost_usd": "-0.5", "latency_ms.p95": 812.4567891, "tokens": {"input": 1}},
    "previous": {"cost_usd": "-1", "latency_ms.p95": None, "tokens": {}},
    "change": {"cost_usd": -0.5, "latency_ms.p95": None},
}  # fmt: skip


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Answer with two pages of one row each, and return the bodies of requests."""
    bodies: list[dict[str, Any]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        bodies.append(body)
        if request.url.path.endswith("/explain"):
            return httpx.Response(200, json=EXPLAIN_EXAMPLE)
        is_last = "cursor" in body
        meta = QUERY_EXAMPLE["meta"] | {
            "group_by": ["model"], "cursor": None if is_last else "c", "has_more": not is_last,
        }  # fmt: skip
        row = ROW | ({"is_other": True, "group": {}} if is_last else {})
        return httpx.Response(200, json={"data": [row], "meta": meta})

    mock_api(monkeypatch, respond)
    return bodies


def run(*words: str, code: int = 0, text: str | None = None) -> Any:
    ended = CliRunner().invoke(app, ["measures", *words], input=text, terminal_width=1_000)
    assert ended.exit_code == code, ended.output
    return ended


def test_options_are_the_fields_of_a_valid_request(sent: list[dict[str, Any]]) -> None:
    run(
        "cost_usd", "count", "--view", "observations", "--by", "model", "--by", "user_id",
        "--filter", "model=a", "--filter", "model=b", "--filter", "name=c=d",
        "--formula", "each=cost_usd / count", "--from", "2026-11-01T00Z", "--to", "2026-11-02T00Z",
        "--step", "1h", "--time-zone", "Europe/Berlin", "--compare-with", "previous",
        "--order-by", "-cost_usd", "--limit", "1", "--exact-percentiles",
    )  # fmt: skip
    (body,) = sent
    QueryBody.model_validate(body)
    assert body == {
        "view": "observations", "measures": ["cost_usd", "count"],
        "group_by": ["model", "user_id"], "filter": {"model": ["a", "b"], "name": ["c=d"]},
        "formulas": {"each": "cost_usd / count"}, "from": "2026-11-01T00Z", "to": "2026-11-02T00Z",
        "step": "1h", "time_zone": "Europe/Berlin", "compare_with": "previous",
        "order_by": "-cost_usd", "limit": 1, "exact_percentiles": True,
    }  # fmt: skip


def test_all_pages_are_printed_as_a_table(sent: list[dict[str, Any]]) -> None:
    ended = run("cost_usd")
    assert [body.get("cursor") for body in sent] == [None, "c"]
    head, first, others, *_ = ended.stdout.splitlines()
    assert head.split()[:3] == ["model", "cost", "usd"]
    assert first.split()[:2] == ["=1+1", "-0.5"]
    assert "812.457" in first
    assert others.startswith("(others)")
    assert "sources: " in ended.stderr


@pytest.mark.usefixtures("sent")
def test_csv_has_a_column_for_each_value_and_no_formulas() -> None:
    rows = list(csv.DictReader(io.StringIO(run("cost_usd", "--format", "csv").stdout)))
    assert [row["model"] for row in rows] == ["'=1+1", "(others)"]
    assert (rows[0]["cost_usd"], rows[0]["cost_usd change"]) == ("-0.5", "-0.5")
    assert json.loads(rows[0]["tokens"]) == {"input": 1}
    assert rows[0]["latency_ms.p95 before"] == ""


def test_steps_are_printed_in_the_zone_asked_for_and_warnings_on_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meta = QUERY_EXAMPLE["meta"] | {
        "group_by": [], "cursor": None, "has_more": False, "time_zone": "Europe/Berlin",
        "from": "2026-11-28T23:00:00.000Z", "warnings": ["tokens.inptu has no value"],
    }  # fmt: skip
    row = ROW | {"start": "2026-11-28T23:00:00.000Z", "group": {}}
    mock_api(monkeypatch, lambda _: httpx.Response(200, json={"data": [row], "meta": meta}))
    for output in ("table", "csv"):
        ended = run("cost_usd", "--step", "1d", "--format", output)
        assert ended.stdout.splitlines()[1].startswith("2026-11-29T00:00:00+01:00"), output
        assert "warning: tokens.inptu has no value" in ended.stderr
    assert "from 2026-11-29T00:00:00+01:00 to " in run("cost_usd").stderr


@pytest.mark.usefixtures("sent")
def test_json_has_the_rows_and_where_they_are_from() -> None:
    found = json.loads(run("cost_usd", "--format", "json").stdout)
    assert [row["is_other"] for row in found["data"]] == [False, True]
    assert found["meta"]["sources"] == QUERY_EXAMPLE["meta"]["sources"]


def test_the_explanation_names_the_source_and_reads_nothing(sent: list[dict[str, Any]]) -> None:
    printed = run("cost_usd", "--explain").stdout
    assert EXPLAIN_EXAMPLE["source"] in printed
    assert json.loads(run("cost_usd", "--explain", "--format", "json").stdout) == EXPLAIN_EXAMPLE
    assert all("limit" not in body for body in sent)


def test_a_file_has_the_other_fields(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "query.json"
    file.write_text('{"measures": ["count"], "filters": [], "step": "1h"}')
    run("--body", str(file), "--step", "1d", "--top", "3")
    run("--body", "-", "--limit", "1", text='{"measures": ["errors"]}')
    assert sent[0] == {"measures": ["count"], "filters": [], "step": "1d", "top": 3}
    assert sent[-1] == {"measures": ["errors"], "limit": 1}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--filter", "model"), "--filter"),
        (("--formula", "=a"), "--formula"),
        (("--last", "1y"), "--last"),
        (("--last", "1d", "--from", "2026-11-01T00Z"), "--last"),
        (("--limit", "0"), "--limit"),
        (("--format", "xml"), "--format"),
        (("--body", "/nowhere.json"), "--body"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    sent: list[dict[str, Any]], words: tuple[str, ...], named: str
) -> None:
    ended = CliRunner().invoke(app, ["measures", "count", *words], terminal_width=1_000)
    assert ended.exit_code == 2 or exit_code_for(ended.exception) == 2
    assert named in ended.output + str(ended.exception)
    assert sent == []


def refuse(_: httpx.Request) -> httpx.Response:
    error = {"message": "measures.0: 'x' is not a measure; allowed: count", "field": "measures.0"}
    return httpx.Response(422, json={"error": error})


def interrupt(_: httpx.Request) -> httpx.Response:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("respond", "shown"), [(refuse, "measures.0"), (interrupt, "")])
def test_a_refusal_names_the_field_and_ctrl_c_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, respond: Callable[[Any], httpx.Response], shown: str
) -> None:
    mock_api(monkeypatch, respond)
    ended = CliRunner().invoke(app, ["measures", "x"])
    assert ended.exit_code == (1 if shown else 130)
    assert shown in str(ended.exception)
    assert "Traceback" not in ended.output
