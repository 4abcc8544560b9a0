from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clickhouse.rows import SpendRow, WindowRow
from query_api.settings import QuerySettings
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api

NOON_S = NOON_US // 10**6
NOON = datetime.fromtimestamp(NOON_S, UTC)
PATH = "/v1/alert-rules/backtest"
RULE: dict[str, Any] = {"name": "slow", "metric": "avg_latency", "threshold": 5, "window": "1m"}


def at(seconds: int) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat()


def window(at_s: int, latency_s: float, count: int = 1, **fields: Any) -> WindowRow:
    bins = {key_of(latency_s * 10**6): count}
    given: dict[str, Any] = {
        "project_id": PROJECT, "environment": "production", "model": "m1", "name": "n",
        "observation_count": count, "latency_state_hex": state_hex(bins), "row_version": 1,
        "total_cost_pico": count * 10**12,
    }  # fmt: skip
    return WindowRow(window_s=NOON_S + at_s, **(given | fields))


async def past(api: Api, rule: dict[str, Any], from_s: int, to_s: int) -> dict[str, Any]:
    body = {"rule": RULE | rule, "from": at(from_s), "to": at(to_s)}
    answer = await api.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_rule_would_have_fired_and_recovered_at_these_times(api: Api) -> None:
    await api.insert(
        *(window(n, 2) for n in range(0, 300, 10)),
        *(window(n, 30) for n in range(300, 360, 10)),
        *(window(n, 2) for n in range(360, 900, 10)),
        window(100, 1_000, project_id=OTHER),
    )
    found = await past(api, {"labels": {"team": "a"}}, 0, 900)
    (episode,) = found["episodes"]
    fired = datetime.fromisoformat(episode["fired_at"])
    resolved = datetime.fromisoformat(episode["resolved_at"])
    assert NOON + timedelta(seconds=300) <= fired <= NOON + timedelta(seconds=330)
    assert NOON + timedelta(seconds=390) <= resolved <= NOON + timedelta(seconds=430)
    assert episode["value"] > 5
    assert [each["type"] for each in found["alerts"]] == ["alert.firing", "alert.resolved"]
    assert found["alerts"][0]["labels"] == {"team": "a"}
    (series,) = found["series"]
    values = {each["at"]: each["value"] for each in series["points"]}
    peak = max(value for value in values.values() if value is not None)
    assert peak == pytest.approx(30, rel=0.011)
    assert found["resolution_s"] == 10


async def test_an_alert_that_fires_when_the_range_begins_is_listed_until_it_is_resolved(
    api: Api,
) -> None:
    await api.insert(
        *(window(n, 30) for n in range(-300, 300, 10)), *(window(n, 1) for n in range(300, 900, 10))
    )
    (open_episode,) = (await past(api, {}, 0, 120))["episodes"]
    assert (open_episode["fired_at"], open_episode["resolved_at"]) == (None, None)
    assert open_episode["value"] == pytest.approx(30, rel=0.011)
    (ended,) = (await past(api, {}, 0, 900))["episodes"]
    assert ended["fired_at"] is None
    assert "12:05" <= ended["resolved_at"][11:16] <= "12:07"


async def test_groups_and_filters_select_what_is_compared(api: Api) -> None:
    await api.insert(
        *(window(n, 30, model="slow") for n in range(0, 120, 10)),
        *(window(n, 1, model="fast") for n in range(0, 120, 10)),
        *(window(n, 90, model="fast", environment="staging") for n in range(0, 120, 10)),
    )
    rule = {"group_by": ["model"], "filter": {"environment": "production"}}
    found = await past(api, rule, 0, 300)
    assert [each["group"] for each in found["episodes"]] == [{"model": "slow"}]
    assert [each["group"] for each in found["series"]] == [{"model": "fast"}, {"model": "slow"}]


async def test_the_cost_of_a_day_and_of_users_is_exact(api: Api) -> None:
    await api.insert(
        *(window(n * 600, 1, count=100) for n in range(12)),
        *(
            SpendRow(
                project_id=PROJECT, bucket_s=NOON_S + n * 900, user_id=f"u{n % 2}", model="m",
                environment="e", total_cost_pico=(n % 2 + 1) * 10**12 + 1, row_version=1,
            )
            for n in range(8)
        ),
    )  # fmt: skip
    found = await past(api, {"metric": "cost", "threshold": "850", "window": "1d"}, 0, 7_200)
    (episode,) = found["episodes"]
    assert (episode["value"], episode["fired_at"][:16]) == ("900", "2026-11-21T13:20")
    assert found["series"][0]["points"][-1]["value"] == "1200"
    rule = {"metric": "cost", "threshold": "5", "window": "24h", "group_by": ["user_id"]}
    found = await past(api, rule, 0, 7_200)
    assert [(each["group"], each["value"]) for each in found["episodes"]] == [
        ({"user_id": "u1"}, "6.000000000003"),
    ]  # fmt: skip
    assert found["resolution_s"] == 900


async def test_silence_is_found_in_the_past(api: Api) -> None:
    await api.insert(window(0, 1), window(900, 1), window(910, 1))
    rule = {"metric": "silence", "threshold": 300, "comparison": ">="}
    found = await past(api, rule, 0, 1_000)
    (episode,) = found["episodes"]
    assert episode["fired_at"][:16] == "2026-11-21T12:05"
    assert episode["resolved_at"][:16] == "2026-11-21T12:15"


async def test_the_cost_of_sessions_is_tested(api: Api) -> None:
    await api.insert(
        *(
            SpendRow(
                project_id=PROJECT, bucket_s=NOON_S, user_id="u", model="m", environment="e",
                session_id=f"s{number}", total_cost_pico=number * 10**12, row_version=1,
                observation_count=1,
            )
            for number in range(4)
        ),
    )  # fmt: skip
    rule = {"metric": "session_cost", "threshold": "2", "window": "1h", "no_data": "keep"}
    found = await past(api, rule, 0, 7_200)
    assert [each["group"] for each in found["episodes"]] == [{"session_id": "s3"}]


async def test_an_existing_rule_is_named_by_its_id(api: Api) -> None:
    await api.insert(*(window(n, 30) for n in range(0, 120, 10)))
    made = (await api.client.post("/v1/alert-rules", json=RULE | {"enabled": False})).json()
    body = {"rule_id": made["id"], "from": at(0), "to": at(600)}
    found = (await api.client.post(PATH, json=body)).json()
    assert found["alerts"][0]["rule_id"] == made["id"]
    assert (await api.other.post(PATH, json=body)).status_code == 404
    refused = await api.client.post(PATH, json=body | {"rule": RULE})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "rule")


async def test_the_fields_of_a_rule_without_a_name_can_stand_beside_the_range(api: Api) -> None:
    await api.insert(*(window(n, 30) for n in range(0, 120, 10)))
    unnamed = {name: each for name, each in RULE.items() if name != "name"}
    beside = (await api.client.post(PATH, json=unnamed | {"from": at(0), "to": at(600)})).json()
    within = await past(api, {}, 0, 600)
    assert beside["episodes"] == within["episodes"] != []


async def test_a_backtest_without_a_range_reads_the_last_day(api: Api) -> None:
    found = (await api.client.post(PATH, json={"rule": RULE})).json()
    begin, end = (datetime.fromisoformat(found[name]) for name in ("from", "to"))
    assert end - begin == timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"rule": RULE | {"threshold": -1}}, "rule.threshold"),
        ({"rule": RULE | {"metric": "nope"}}, "rule.metric"),
        ({"from": at(0), "to": at(0)}, "from"),
        ({"from": at(-8 * 86_400)}, "from"),
        ({"from": "yesterday"}, "from"),
    ],
)
async def test_the_error_for_an_invalid_backtest_names_its_field(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    body = {"rule": RULE, "from": at(0), "to": at(900)} | fields
    refused = await api.client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field), refused.text


async def test_too_many_rows_are_refused(api: Api) -> None:
    await api.insert(*(window(n, 1) for n in range(0, 100, 10)))
    small, clients = make_api(api.store, QuerySettings(backtest_rows_max=9))
    body = {"rule": RULE, "from": at(0), "to": at(900)}
    refused = await small.client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "query_too_costly")
    for client in clients:
        await client.aclose()
