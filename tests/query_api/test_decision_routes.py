"""Whether a call may be made: all budgets that include it, groups, tiers and periods."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from clickhouse.rows import BudgetStateRow
from producers.control.keys import new_api_key
from producers.control.kinds.budget import Budget
from producers.control.periods import period_bounds
from query_api.settings import QuerySettings
from query_api.times import iso
from tests.query_api.counting import reached
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api
from tracemill.clock import now_us

USD = 10**12


def budget(api: Api, budget_id: str, limit: str | None = "1", **fields: Any) -> None:
    """Keep a budget of the project; ``limit`` is in US dollars."""
    given: dict[str, Any] = {"project_id": PROJECT, "name": budget_id, "period": "day"}
    given |= {"thresholds": ("1",), "created_us": NOON_US}
    if limit is not None:
        given["limit_pico"] = int(float(limit) * USD)
    kept = Budget(id=budget_id, **given | fields)
    api.control.keep(kept)
    for limit in kept.all_limits():
        evaluated(api, budget_id, limit.period, limit.name)


def evaluated(
    api: Api, budget_id: str, period: str = "day", limit_name: str = "", *, since_us: int = 0,
    incomplete: int = 0,
) -> None:  # fmt: skip
    """Apply the state of a whole limit, whose periods are complete since a time."""
    row = BudgetStateRow(
        project_id=PROJECT, budget_id=budget_id, limit_name=limit_name, period=period, group="",
        period_start_us=0, period_end_us=0, updated_us=now_us(), row_version=1,
        evaluation=f'{{"complete_from_us":{since_us}}}', incomplete=incomplete,
    )  # fmt: skip
    api.decisions.states.apply(msgspec.json.encode(row), now_us())


def spend(api: Api, budget_id: str, usd: str, group: dict[str, str] | None = None, **fields: Any):
    """Apply a state as the alerting stage writes it."""
    start_us, end_us = period_bounds("day", "UTC", now_us())
    given: dict[str, Any] = {
        "project_id": PROJECT, "budget_id": budget_id, "period": "day", "updated_us": now_us(),
        "period_start_us": start_us, "period_end_us": end_us, "row_version": 1,
        "spent_pico": round(float(usd) * USD),
        "group": msgspec.json.encode(group or {}, order="sorted").decode(),
    }  # fmt: skip
    row = BudgetStateRow(**given | fields)
    api.decisions.states.apply(msgspec.json.encode(row), now_us())


async def asked(api: Api, **call: Any) -> dict[str, Any]:
    answer = await api.client.get("/v1/budgets/decision", params=call)
    assert answer.status_code == 200, answer.text
    (one,) = (await posted(api, call))["data"]
    decision = answer.json()
    assert one | {"staleness_s": 0} == decision | {"staleness_s": 0}
    return decision


async def posted(api: Api, *calls: dict[str, Any]) -> dict[str, Any]:
    answer = await api.client.post("/v1/budgets/decisions", json={"requests": calls})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_without_a_budget_everything_is_allowed(api: Api) -> None:
    budget(api, "theirs", project_id=OTHER)
    decision = await asked(api, user_id="u", estimated_usd="100")
    assert decision == {
        "allow": True, "reason": "no_budget", "message": "no budget applies to this call",
        "remaining_usd": None, "budget_id": None, "budget_name": None, "limit_name": None,
        "limit_usd": None, "spent_usd": None, "estimated_usd": "100", "group": {}, "tier": None,
        "period_end": None, "incomplete": [], "as_of": None, "staleness_s": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spent", "estimate", "allow", "reason"),
    [
        ("0", "1", True, "within_limit"),
        ("0", "1.000000000001", False, "estimate_exceeds_limit"),
        ("0.4", "0.6", True, "within_limit"),
        ("0.4", "0.61", False, "estimate_exceeds_limit"),
        ("0.999999", None, True, "within_limit"),
        ("1", None, False, "limit_reached"),
        ("1", "0", False, "limit_reached"),
        ("1.5", "0.1", False, "limit_reached"),
    ],
)
async def test_a_limit_may_be_used_up_exactly_and_then_allows_nothing(
    api: Api, spent: str, estimate: str | None, allow: bool, reason: str
) -> None:
    budget(api, "b")
    spend(api, "b", spent)
    call = {} if estimate is None else {"estimated_usd": estimate}
    decision = await asked(api, **call)
    assert (decision["allow"], decision["reason"]) == (allow, reason)
    assert decision["budget_id"] == "b"
    assert float(decision["remaining_usd"]) == pytest.approx(1 - float(spent))


async def test_the_tightest_of_all_budgets_that_include_the_call_decides(api: Api) -> None:
    budget(api, "all", "10")
    budget(api, "model", "5", scope={"model": "gpt-4o"})
    budget(api, "user-on-model", "1", scope={"model": "gpt-4o", "user_id": "u"})
    budget(api, "environment", "0.5", scope={"environment": "production"})
    spend(api, "all", "9.9")
    for call, expected in (
        ({}, "all"),
        ({"model": "gpt-4o"}, "all"),
        ({"environment": "Production"}, "all"),
        ({"environment": "staging"}, "all"),
    ):
        assert (await asked(api, **call))["budget_id"] == expected
    spend(api, "all", "1")
    for call, expected in (
        ({}, "all"),
        ({"model": "gpt-4o"}, "model"),
        ({"model": "gpt-4o", "user_id": "u"}, "user-on-model"),
        ({"model": "gpt-4o", "user_id": "v"}, "model"),
        ({"model": "other", "user_id": "u"}, "all"),
        ({"model": "gpt-4o", "user_id": "u", "environment": "Production"}, "environment"),
    ):
        assert (await asked(api, **call))["budget_id"] == expected
    spend(api, "model", "5")
    assert not (await asked(api, model="gpt-4o", environment="production"))["allow"]


async def test_tags_match_if_one_of_them_is_that_of_the_scope(api: Api) -> None:
    budget(api, "batch", scope={"tags": "batch"})
    budget(api, "both", "2", scope={"tags": "batch", "model": "m"})
    spend(api, "batch", "1")
    assert (await asked(api, tags=["a", "batch"]))["budget_id"] == "batch"
    assert (await asked(api, tag=["batch"]))["budget_id"] == "batch"
    assert (await asked(api, tags=["a"]))["reason"] == "no_budget"
    assert (await asked(api))["reason"] == "no_budget"
    spend(api, "batch", "0")
    spend(api, "both", "1.5")
    assert (await asked(api, tags=["x", "batch"], model="m"))["budget_id"] == "both"


async def test_each_group_has_the_limit_of_its_own(api: Api) -> None:
    budget(api, "each-user", group_by=("user_id", "model"))
    spend(api, "each-user", "1", {"user_id": "u", "model": "m"})
    denied = await asked(api, user_id="u", model="m")
    assert (denied["allow"], denied["group"]) == (False, {"model": "m", "user_id": "u"})
    for call in ({"user_id": "u", "model": "n"}, {"user_id": "v", "model": "m"}, {"user_id": "u"}):
        assert (await asked(api, **call))["allow"], call


async def test_the_tier_of_a_user_decides_and_a_mapping_outranks_the_stated_one(api: Api) -> None:
    budget(
        api, "tiers", None, group_by=("user_id",), default_tier="free",
        tiers={"free": USD // 10, "pro": 5 * USD}, overrides={"vip": 100 * USD},
    )  # fmt: skip
    spend(api, "tiers", "0.2", {"user_id": "u"})
    assert not (await asked(api, user_id="u"))["allow"]
    stated = await asked(api, user_id="u", user_tier="pro")
    assert (stated["allow"], stated["tier"], stated["remaining_usd"]) == (True, "pro", "4.8")
    assert (await asked(api, user_id="u", user_tier="unknown"))["tier"] == "free"
    spend(api, "tiers", "0.2", {"user_id": "u"}, evaluation='{"trace_tier":"pro"}')
    assert (await asked(api, user_id="u"))["tier"] == "pro", "as its latest trace states"
    assert (await asked(api, user_id="u", user_tier="free"))["tier"] == "free"
    spend(api, "tiers", "0.2", {"user_id": "u"})
    assert (await asked(api, user_id="vip"))["limit_usd"] == "100"
    for tier, limit in (("free", "0.1"), ("pro", "5")):
        await api.client.put("/v1/tiers/u", json={"tier": tier})
        decision = await asked(api, user_id="u", user_tier="pro")
        assert (decision["tier"], decision["limit_usd"]) == (tier, limit)
    await api.client.delete("/v1/tiers/u")
    assert (await asked(api, user_id="u"))["tier"] == "free"


async def test_several_limits_of_a_budget_all_apply(api: Api) -> None:
    limits = (
        {"name": "daily", "period": "day", "limit_pico": USD},
        {"name": "total", "period": "total", "limit_pico": 2 * USD},
    )
    budget(api, "two", None, limits=limits)
    spend(api, "two", "0.5", limit_name="daily")
    assert (await asked(api))["limit_name"] == "daily"
    forever = {"period": "total", "period_start_us": 0, "period_end_us": 7_258_118_400_000_000}
    spend(api, "two", "1.9", limit_name="total", **forever)
    decision = await asked(api, estimated_usd="0.2")
    assert (decision["allow"], decision["limit_name"]) == (False, "total")
    assert decision["period_end"] is None


async def test_a_new_period_begins_without_a_new_state(api: Api) -> None:
    budget(api, "b")
    start_us, end_us = period_bounds("day", "UTC", now_us() - 86_400_000_000)
    spend(api, "b", "1", period_start_us=start_us, period_end_us=end_us)
    decision = await asked(api)
    assert (decision["allow"], decision["spent_usd"]) == (True, "0")


async def test_changes_of_budgets_are_in_effect_at_once(api: Api) -> None:
    budget(api, "b")
    spend(api, "b", "1")
    assert not (await asked(api))["allow"]
    budget(api, "b", "2")
    assert (await asked(api))["allow"]
    await api.control.delete("budget", "b")
    assert (await asked(api))["reason"] == "no_budget"


async def test_the_end_of_the_period_is_known_before_anything_was_spent(api: Api) -> None:
    budget(api, "b", time_zone="Asia/Tokyo")
    before_us = now_us()
    decision = await asked(api)
    ends = {iso(period_bounds("day", "Asia/Tokyo", at_us)[1]) for at_us in (before_us, now_us())}
    assert decision["period_end"] in ends


async def test_budgets_with_incomplete_spend_are_named(api: Api) -> None:
    tomorrow_us = now_us() + 86_400_000_000
    for name in ("complete", "known", "lower-bound", "nothing-known"):
        budget(api, name)
        if name != "complete":
            evaluated(api, name, since_us=tomorrow_us)
        if name != "nothing-known":
            spend(api, name, "0.1", incomplete=int(name == "lower-bound"))
    assert (await asked(api))["incomplete"] == ["lower-bound", "nothing-known"]


async def test_a_budget_is_incomplete_while_accepted_events_are_not_processed(api: Api) -> None:
    budget(api, "b")
    budget(api, "by-user", group_by=("user_id",))
    spend(api, "b", "0.1")
    for name in ("b", "by-user"):
        evaluated(api, name, incomplete=1)
    assert (await asked(api))["incomplete"] == ["b", "by-user"]
    single = (await api.client.get("/v1/budgets/b/status")).json()
    grouped = (await api.client.get("/v1/budgets/by-user/status?group=user_id:ada")).json()
    assert single["incomplete"] is grouped["incomplete"] is True
    assert [group["incomplete"] for group in grouped["groups"]] == [True]
    for name in ("b", "by-user"):
        evaluated(api, name)
    assert (await asked(api))["incomplete"] == []
    assert (await api.client.get("/v1/budgets/b/status")).json()["incomplete"] is False


async def test_tokens_are_priced_as_calls_of_the_model(api: Api) -> None:
    budget(api, "b")
    price = {"match": "m", "usd_per_million": {"input": "100", "output": "1000"}}
    assert (await api.client.post("/v1/prices", json=price)).status_code == 201
    text = '{"input": 1000, "output": 100}'
    answer = await api.client.get(
        "/v1/budgets/decision", params={"model": "m", "estimated_tokens": text}
    )
    assert answer.json()["estimated_usd"] == "0.2"
    exact = {"model": "m", "estimated_tokens": text, "estimated_usd": "0.3"}
    answer = await api.client.get("/v1/budgets/decision", params=exact)
    assert answer.json()["estimated_usd"] == "0.3", "an amount outranks tokens"
    tokens = {"input": 1000, "output": 1000}
    (decision,) = (await posted(api, {"model": "m", "estimated_tokens": tokens}))["data"]
    assert (decision["allow"], decision["estimated_usd"]) == (False, "1.1")
    (unpriced,) = (await posted(api, {"model": "none", "estimated_tokens": tokens}))["data"]
    assert (unpriced["allow"], unpriced["estimated_usd"]) == (True, None)
    assert (await asked(api, estimated_usd="0.5"))["estimated_usd"] == "0.5"
    (nameless,) = (await posted(api, {"estimated_tokens": tokens}))["data"]
    assert nameless["estimated_usd"] is None


async def test_it_states_how_current_the_spend_is(api: Api) -> None:
    at_us = now_us() - 2_000_000
    for freshness in api.decisions.freshness:
        freshness.ended_at(at_us, 5)
        freshness.evaluated(5)
    decision = (await api.client.get("/v1/budgets/decision")).json()
    assert decision["as_of"] is not None
    assert 2 <= decision["staleness_s"] < 60


async def test_until_the_states_are_read_it_is_unavailable(api: Api) -> None:
    api.decisions.is_ready = False
    for answer in (
        await api.client.get("/v1/budgets/decision"),
        await api.client.post("/v1/budgets/decisions", json={"requests": [{}]}),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


async def test_keys_that_send_traces_may_ask_and_their_key_is_that_of_the_call(api: Api) -> None:
    scopes = {"ingest": 200, "read": 200, "write": 403, "scores": 403, "admin": 403}
    budget(api, "key", scope={"api_key": "pk-ingest"})
    spend(api, "key", "1")
    for scope, status in scopes.items():
        key = new_api_key(
            key_id=scope, project_id=PROJECT, public_key=f"pk-{scope}", secret="sk", created_us=1,
            scopes=[scope],
        )  # fmt: skip
        api.control.keep(key)
        auth = (f"pk-{scope}", "sk")
        answers = await asyncio.gather(
            api.anonymous.get("/v1/budgets/decision", auth=auth),
            api.anonymous.post("/v1/budgets/decisions", json={"requests": [{}]}, auth=auth),
        )
        assert {answer.status_code for answer in answers} == {status}
        if status == 200:
            assert answers[0].json()["allow"] == (scope != "ingest")
    asked_for = {"api_key": "pk-ingest"}
    answer = await api.client.get("/v1/budgets/decision", params=asked_for)
    assert not answer.json()["allow"]
    public_only = {"authorization": "Bearer pk-ingest"}
    refused = await api.anonymous.get("/v1/budgets/decision", headers=public_only)
    assert refused.status_code == 403
    assert (await api.admin.get("/v1/budgets/decision")).status_code == 403


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"estimated_usd": "-1"}, "estimated_usd"),
        ({"estimated_usd": "x"}, "estimated_usd"),
        ({"estimated_usd": "NaN"}, "estimated_usd"),
        ({"estimated_usd": "1e400"}, "estimated_usd"),
        ({"estimated_usd": "99999999"}, "estimated_usd"),
        ({"estimated_tokens": "1000", "model": "m"}, "estimated_tokens"),
        ({"estimated_tokens": "{", "model": "m"}, "estimated_tokens"),
        ({"estimated_tokens": '{"input":-1}', "model": "m"}, "estimated_tokens.input"),
        ({"user": "u"}, "user"),
        ({"user_id": "x" * 1001}, "user_id"),
        ({"tags": ["x"] * 101}, "tags"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, parameters: dict[str, Any], field: str) -> None:
    refused = await api.client.get("/v1/budgets/decision", params=parameters)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "requests"),
        ({"requests": []}, "requests"),
        ({"requests": [{}] * 101}, "requests"),
        ({"requests": [{"user": "u"}]}, "requests.0.user"),
        ({"requests": [{"user_id": 1}]}, "requests.0.user_id"),
        ({"requests": [{}, {"estimated_usd": True}]}, "requests.1.estimated_usd"),
        ({"requests": [{"estimated_usd": -1}]}, "requests.0.estimated_usd"),
        ({"requests": [{"tags": "x"}]}, "requests.0.tags"),
        (
            {"requests": [{"model": "m", "estimated_tokens": {"input": -1}}]},
            "requests.0.estimated_tokens.input",
        ),
    ],
)
async def test_a_bad_field_is_named(api: Api, body: Any, field: str) -> None:
    refused = await api.client.post("/v1/budgets/decisions", json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field"] == field


async def test_the_calls_of_one_request_are_limited(api: Api) -> None:
    small, clients = make_api(api.store, QuerySettings(decisions_per_request_max=1))
    before = reached("decisions_per_request_max")
    answer = await small.client.post("/v1/budgets/decisions", json={"requests": [{}, {}]})
    assert answer.status_code == 422
    assert reached("decisions_per_request_max") == before + 1
    for client in clients:
        await client.aclose()
