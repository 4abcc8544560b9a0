"""A project's own price: made by HTTP, it prices the next call; others keep the default."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.e2e.conftest import Cli
from tests.fixtures.installation import Server

WITHIN_S = 60.0
DEFAULT_USD, OWN_USD, GENERAL_USD = 0.0025, 0.001, 0.007
"""What 1,000 input tokens of gpt-4o cost."""


def cost_of_a_call(client: httpx.Client, model: str = "gpt-4o") -> float:
    """Send a call of 1,000 input tokens; return what it cost, once it can be read."""
    observation_id, now = uuid.uuid4().hex, datetime.now(UTC).isoformat()
    body = {
        "id": observation_id, "traceId": uuid.uuid4().hex, "model": model, "startTime": now,
        "endTime": now, "usageDetails": {"input": 1_000},
    }  # fmt: skip
    event = {"id": uuid.uuid4().hex, "type": "generation-create", "timestamp": now, "body": body}
    assert client.post("/api/public/ingestion", json={"batch": [event]}).status_code == 207
    until_s = time.monotonic() + WITHIN_S
    while time.monotonic() < until_s:
        answer = client.get(f"/api/public/observations/{observation_id}")
        if answer.status_code == 200:
            cost: float = answer.json()["calculatedTotalCost"]
            return cost
    raise AssertionError("the call did not become visible")


def costs_until(client: httpx.Client, usd: float) -> None:
    """Send calls until one costs ``usd``: the streams learn a price moments after its creation."""
    until_s = time.monotonic() + WITHIN_S
    cost = -1.0
    while cost != usd:
        assert time.monotonic() < until_s, cost
        cost = cost_of_a_call(client)


def shown(cli: Cli, *words: str) -> Any:
    ended = cli("prices", *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_price_of_a_project_prices_its_next_calls_and_no_others(
    installation: Server, client: httpx.Client, cli: Cli
) -> None:
    made = cli("projects", "create", "priced", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(cli("keys", "create", "--project", "priced", "--json").stdout)
    auth = (key["public_key"], key["secret_key"])
    with httpx.Client(base_url=installation.url, auth=auth, timeout=30) as priced:
        assert cost_of_a_call(priced) == DEFAULT_USD
        body = {"match": "gpt-4o", "usd_per_million": {"input": "1"}}
        created = priced.post("/v1/prices", json=body)
        assert created.status_code == 201, created.text
        costs_until(priced, OWN_USD)
        assert cost_of_a_call(client) == DEFAULT_USD

        general = shown(
            cli, "create", "--installation", "--match", "gpt-4o", "--price", "input=7",
        )  # fmt: skip
        costs_until(client, GENERAL_USD)
        assert cost_of_a_call(priced) == OWN_USD

        assert priced.delete(f"/v1/prices/{created.json()['id']}").status_code == 204
        costs_until(priced, GENERAL_USD)
        assert cli("prices", "delete", general["id"], "--installation").returncode == 0
        costs_until(priced, DEFAULT_USD)


def test_the_command_line_lists_shows_creates_and_deletes(installation: Server, cli: Cli) -> None:
    keys = ("--public-key", installation.public_key, "--secret-key", installation.secret_key)
    made = shown(cli, "create", "--match", "acme-.*", "--price", "input=2.50", *keys)
    assert made["usd_per_million"] == {"input": "2.5"}
    assert made.pop("warnings")
    assert shown(cli, "show", made["id"], *keys) == made
    assert made in shown(cli, "list", *keys)["data"]
    table = cli("prices", "list", *keys).stdout
    assert "acme-.*" in table
    assert "input: 2.5" in table
    defaults = shown(cli, "list", "--defaults", "--model", "gpt-4o", *keys)["data"]
    assert [each["id"] for each in defaults] == ["openai/gpt-4o"]
    refused = cli("prices", "create", "--match", r"(a)\1", "--price", "input=1", *keys)
    assert (refused.returncode, "match" in refused.stderr) == (1, True)
    refused = cli("prices", "create", "--match", "a", "--price", "input=0.0000001", *keys)
    assert (refused.returncode, "usd_per_million.input" in refused.stderr) == (1, True)
    assert cli("prices", "delete", made["id"], *keys).returncode == 0
    missing = cli("prices", "show", made["id"], *keys)
    assert (missing.returncode, "404" in missing.stderr) == (1, True)
