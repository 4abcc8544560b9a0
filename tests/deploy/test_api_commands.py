"""Commands that call the API: what they send, and what they refuse."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from deploy.admin_client import AdminClient
from deploy.cli import app
from deploy.errors import DeployError

SENT = "deploy.admin_client.AdminClient.call"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Requests that would be sent."""
    monkeypatch.setenv("TRACEMILL_ADMIN_SECRET_KEY", "x" * 32)
    requests: list[tuple[Any, ...]] = []

    def call(_: AdminClient, *request: Any, **__: Any) -> dict[str, str]:
        requests.append(request)
        return {"id": "x", "name": "x"}

    monkeypatch.setattr(SENT, call)
    return requests


def refusal(*words: str) -> str:
    ended = CliRunner().invoke(app, words, terminal_width=1_000)
    assert ended.exit_code == 2, ended.output
    return " ".join(ended.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("projects", "delete", "a/keys/key_1", "--yes"), "PROJECT"),
        (("projects", "delete", "a/limits", "--yes"), "PROJECT"),
        (("projects", "show", ""), "PROJECT"),
        (("projects", "rename", "a?b", "x"), "PROJECT"),
        (("keys", "list", "--project", "a/b"), "--project"),
        (("keys", "revoke", "x" * 129, "--project", "a"), "KEY"),
        (("prices", "delete", "prc_1/x"), "PRICE"),
    ],
)
def test_ids_that_the_server_cannot_have_are_not_sent(
    sent: list[tuple[Any, ...]], words: tuple[str, ...], named: str
) -> None:
    said = refusal(*words)
    assert named in said
    assert "is not an id" in said
    assert sent == []


def test_an_id_of_a_shipped_price_is_answered_with_the_command_that_shows_it(
    sent: list[tuple[Any, ...]],
) -> None:
    for command in ("show", "delete"):
        said = refusal("prices", command, "openai/gpt-4o")
        assert "`tracemill prices list --defaults --model gpt-4o`" in said
    assert sent == []


def test_each_segment_of_a_path_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    client, paths = AdminClient("http://test/base", "x"), []

    def respond(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(204)

    transport = httpx.MockTransport(respond)
    monkeypatch.setattr(
        client._connection, "client", httpx.Client(base_url=client.url, transport=transport)
    )
    for segment in ("a/limits", "..", "a?b#c", "."):
        client.call("DELETE", ("v1", segment))
    assert paths == [
        b"/base/v1/" + each for each in (b"a%2Flimits", b"%2E%2E", b"a%3Fb%23c", b"%2E")
    ]


@pytest.mark.parametrize("body", [None, [], {}, "text", {"data": [1], "meta": {"cursor": None}}])
def test_an_answer_that_is_not_expected_is_an_error(
    monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    monkeypatch.setattr(SENT, lambda *_, **__: body)
    client = AdminClient("http://test", "x")
    with pytest.raises(DeployError, match="unexpected response to GET /v1"):
        client.record("GET", ("v1",))
    with pytest.raises(DeployError, match="unexpected response to GET /v1"):
        client.pages(("v1",))


@pytest.mark.parametrize("url", ["127.0.0.1:18800", "ftp://x", "http://", "localhost"])
def test_an_address_without_http_is_named(sent: list[tuple[Any, ...]], url: str) -> None:
    for words in (("projects", "list"), ("prices", "list")):
        said = refusal(*words, "--url", url)
        assert ("--url" in said, "needs http:// or https://" in said) == (True, True)
    assert sent == []


def test_where_the_admin_key_is_looked_for_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("TRACEMILL_ADMIN_SECRET_KEY", raising=False)
    monkeypatch.setenv("TRACEMILL_DATA_DIR", str(tmp_path))
    ended = CliRunner().invoke(app, ("projects", "list"))
    assert "TRACEMILL_DATA_DIR" in str(ended.exception)
    for group in ("projects", "keys", "prices"):
        assert "TRACEMILL_DATA_DIR" in CliRunner().invoke(app, (group, "--help")).output


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2037-01-31", "2037-01-31T00:00:00+00:00"),
        ("2037-01-31T12:00:00Z", "2037-01-31T12:00:00+00:00"),
        ("2037-01-31T12:00:00+01:00", "2037-01-31T12:00:00+01:00"),
    ],
)
def test_a_key_expires_at_a_date_or_time(sent: list[tuple[Any, ...]], given: str, at: str) -> None:
    words = ("keys", "create", "--project", "a", "--expires", given)
    assert CliRunner().invoke(app, words).exit_code == 0
    assert sent[0][2]["expires_at"] == at


@pytest.mark.parametrize(
    "given", ["soon", "90", "1y", "-1d", "999999999w", "100000d", "2037-01-31T00:00:00", "Tomorrow"]
)
def test_what_an_expiry_can_be_is_said(sent: list[tuple[Any, ...]], given: str) -> None:
    said = refusal("keys", "create", "--project", "a", "--expires", given)
    for allowed in ("30m, 12h, 90d or 3w", "2027-01-31 ", "2027-01-31T00:00:00Z", "2254"):
        assert allowed in said
    assert sent == []


def test_a_usage_type_has_one_price(sent: list[tuple[Any, ...]]) -> None:
    words = ("prices", "create", "--match", "m", "--price", "input=1", "--price", "input=2")
    said = refusal(*words)
    assert "'input' is given twice" in said
    assert sent == []


def test_tables_show_when_keys_were_used_and_tiers_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACEMILL_ADMIN_SECRET_KEY", "x" * 32)
    key = {"id": "key_1", "previous_secret_valid_until": "2037", "last_used_at": None}
    tiers = [
        {"input_above": 200, "service_tiers": [], "usd_per_million": {"input": "5", "a_b": "7"}},
        {"input_above": None, "service_tiers": ["flex", "x"], "usd_per_million": {"input": "1"}},
    ]

    def answers(_: AdminClient, __: str, path: Any, *___: Any, **____: Any) -> Any:
        if "prices" in path:
            return {"id": "prc_1", "tiers": tiers}
        return key if "key_1" in path else {"data": [key], "meta": {"cursor": None}}

    monkeypatch.setattr(SENT, answers)

    def output(*words: str) -> str:
        return CliRunner().invoke(app, words).output

    assert "never" in output("keys", "list", "--project", "a")
    key["last_used_at"] = "2037-01-31T13:05:12.000Z"
    assert "in the hour after 2037-01-31T13:05Z" in output("keys", "list", "--project", "a")
    assert "previous secret valid until  2037" in output("keys", "show", "key_1", "--project", "a")
    assert (
        "input above: 200, usd per million: (input: 5, a_b: 7);"
        " service tiers: flex,x, usd per million: (input: 1)"
    ) in output("prices", "show", "prc_1")
