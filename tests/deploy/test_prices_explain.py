"""`tracemill prices explain` asks the server, or the list in this version."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.admin_client import AdminClient
from deploy.cli import app
from deploy.errors import ApiUnavailableError, RefusedError

CALL = "deploy.admin_client.AdminClient.call"
USAGE = '{"input": 1000, "output": 100}'


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["prices", "explain", *words], terminal_width=1_000)


def explained(*words: str) -> dict[str, Any]:
    ended = run(*words, "--json")
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(CALL, call)


def test_the_list_in_this_version_explains_without_a_server() -> None:
    found = explained("gpt-4o", "--usage", USAGE, "--offline")
    assert (found["cost_usd"], found["price"]["id"]) == ("0.0035", "openai/gpt-4o")
    flex = explained("gpt-5-mini", "--usage", USAGE, "--tier", "flex", "--offline")
    assert flex["cost_usd"] == "0.000225"
    earlier = explained("claude-sonnet-4-6", "--at", "2026-03-12T00:00:00Z", "--offline")
    assert earlier["at"] == "2026-03-12T00:00:00.000Z"
    bedrock = explained("claude-sonnet-4-5", "--provider", "aws", "--offline")
    assert bedrock["price"]["provider"] == "aws"


def test_a_condition_without_prices_of_its_own_is_named() -> None:
    def conditions(tier: str) -> str:
        output = run("gpt-5-mini", "--usage", USAGE, "--tier", tier, "--offline").output
        return next(line for line in output.splitlines() if line.startswith("conditions"))

    assert conditions("flex").endswith("service_tier: flex")
    assert conditions("nonsense").endswith("service_tier: nonsense (no prices of its own)")


def test_a_table_shows_the_price_the_amounts_and_the_reading_of_the_name() -> None:
    usage = '{"input": 1000, "output": 100, "input_audio_tokens": 4}'
    shown = run("litellm:openai/gpt-4o:nitro", "--usage", usage, "--offline").output
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for line in (
        "price openai/gpt-4o",
        "cost usd 0.0035",
        "prefix litellm: removed",
        "suffix :nitro removed",
        "input 1000 input 2.5 0.0025 -",
        "input_audio_tokens 4 - - - the price does not list input_audio",
    ):
        assert line in lines, shown
    rates = run("gpt-4o", "--offline").output
    assert "cache_read: 1.25" in rates
    unknown = run("no-such-model", "--offline").output
    assert "no price fits the name of the model" in unknown


def test_the_server_is_asked_with_all_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def call(_: AdminClient, method: str, path: Any, body: Any, **options: Any) -> Any:
        assert body is None
        asked.append(((method, path), options))
        return {"model": "m", "candidates": [], "amounts": []}

    monkeypatch.setattr(CALL, call)
    explained("m/x", "--usage", USAGE, "--at", "2026-11-21T12:00:00Z", "--tier", "flex")
    ((request, options),) = asked
    assert request == ("GET", ("v1", "prices", "resolve"))
    assert options["query"].startswith("?model=m%2Fx&usage=%7B%22input%22")
    assert options["query"].endswith("&at=2026-11-21T12%3A00%3A00Z&service_tier=flex")


def test_without_a_server_the_list_in_this_version_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for error in (ApiUnavailableError("no answer"), RefusedError("refused", 401)):
        fails(monkeypatch, error)
        ended = run("gpt-4o", "--usage", USAGE, "--json")
        assert json.loads(ended.stdout)["cost_usd"] == "0.0035"
        assert "by the prices in this version" in ended.stderr


def test_an_error_of_a_server_that_was_named_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails(monkeypatch, ApiUnavailableError("no answer"))
    ended = run("gpt-4o", "--url", "http://127.0.0.1:9")
    assert isinstance(ended.exception, ApiUnavailableError)
    fails(monkeypatch, RefusedError("usage: not JSON", 400))
    assert isinstance(run("gpt-4o", "--usage", "{").exception, RefusedError)


@pytest.mark.parametrize(
    ("words", "named", "reason"),
    [
        (("gpt-4o", "--usage", "{"), "--usage", "not JSON"),
        (("gpt-4o", "--usage", '{"input": -1}'), "--usage", "usage.input"),
        (("gpt-4o", "--usage", '{"input": "x"}'), "--usage", "no counts"),
        (("gpt-4o", "--at", "soon"), "--at", "ISO 8601"),
        (("gpt-4o", "--tier", "t" * 101), "--tier", "100"),
        (("gpt-4o", "--provider", "a/b"), "--provider", "pattern"),
        (("m" * 201,), "MODEL", "200"),
    ],
)
def test_an_error_names_the_option(words: tuple[str, ...], named: str, reason: str) -> None:
    ended = run(*words, "--offline")
    output = " ".join(ended.output.replace("│", " ").split())
    assert ended.exit_code == 2, output
    assert named in output
    assert reason in output


def test_models_without_a_price_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    model = {
        "model": "acme-1", "observations": 2, "unpriced_observations": 2, "units": 24,
        "usage": {"input": 20, "output": 4}, "first_seen": "2026-11-21T12:00:00.000Z",
        "last_seen": "2026-11-21T12:01:00.000Z", "price": None,
    }  # fmt: skip

    def call(_: AdminClient, method: str, path: Any, body: Any, **options: Any) -> Any:
        assert body is None
        asked.append((method, path, options["query"]))
        return {"data": [model], "meta": {"has_more": False, "cursor": None}}

    monkeypatch.setattr(CALL, call)
    words = ["prices", "unpriced", "--from", "2026-11-01T00:00:00Z", "--limit", "5"]
    shown = CliRunner().invoke(app, words).output
    assert "acme-1  2             2                      24     input: 20, output: 4" in shown
    assert asked == [
        ("GET", ("v1", "prices", "unpriced"), "?from=2026-11-01T00%3A00%3A00Z&limit=5")
    ]
    as_json = CliRunner().invoke(app, [*words, "--json"]).stdout
    assert json.loads(as_json) == {"data": [model]}
