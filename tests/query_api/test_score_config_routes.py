"""Langfuse's score configs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.query_api.harness import PROJECT, Api

CONFIGS = "/api/public/score-configs"
STARS: dict[str, Any] = {
    "name": "stars",
    "dataType": "NUMERIC",
    "minValue": 1,
    "maxValue": 5,
    "description": "As in reviews.",
}
TONE = {
    "name": "tone",
    "dataType": "CATEGORICAL",
    "categories": [{"label": "kind", "value": 1}, {"label": "rude", "value": 0}],
}


async def created(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.client.post(CONFIGS, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_config_is_created_found_listed_and_archived(api: Api) -> None:
    stars = await created(api, STARS)
    assert stars.pop("createdAt") == stars["updatedAt"]
    assert stars == STARS | {
        "id": stars["id"],
        "updatedAt": stars["updatedAt"],
        "projectId": PROJECT,
        "isArchived": False,
        "categories": None,
    }
    tone = await created(api, TONE)
    page = (await api.client.get(f"{CONFIGS}?limit=1&page=2")).json()
    assert [each["id"] for each in page["data"]] == [stars["id"]]
    assert page["meta"] == {"page": 2, "limit": 1, "totalItems": 2, "totalPages": 2}

    changed = await api.client.patch(f"{CONFIGS}/{tone['id']}", json={"isArchived": True})
    assert changed.json() == tone | {"isArchived": True, "updatedAt": changed.json()["updatedAt"]}
    assert (await api.client.get(f"{CONFIGS}/{tone['id']}")).json() == changed.json()
    assert (await api.other.get(f"{CONFIGS}/{tone['id']}")).status_code == 404
    assert (await api.other.get(CONFIGS)).json()["data"] == []


async def test_a_boolean_config_has_two_fixed_categories(api: Api) -> None:
    config = await created(api, {"name": "ok (final)", "dataType": "BOOLEAN"})
    assert config["categories"] == [{"label": "True", "value": 1}, {"label": "False", "value": 0}]
    renamed = await api.client.patch(f"{CONFIGS}/{config['id']}", json={"name": "ok"})
    assert (renamed.json()["name"], renamed.json()["categories"]) == ("ok", config["categories"])


async def test_null_removes_a_bound_and_absent_fields_stay(api: Api) -> None:
    stars = await created(api, STARS)
    answer = await api.client.patch(f"{CONFIGS}/{stars['id']}", json={"maxValue": None})
    assert (answer.json()["minValue"], answer.json()["maxValue"]) == (1, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (STARS | {"name": "x" * 36}, "at most 35"),
        (STARS | {"name": "a/b"}, "pattern"),
        (STARS | {"minValue": 5}, "maxValue: must be greater than minValue"),
        (STARS | {"dataType": "BOOLEAN"}, "not allowed for BOOLEAN"),
        (TONE | {"categories": None}, "CATEGORICAL requires at least one"),
        (TONE | {"dataType": "TEXT"}, "not allowed for TEXT"),
        (TONE | {"categories": [{"label": "a", "value": 1}] * 2}, "each label must occur once"),
        (STARS | {"dataType": "CORRECTION"}, "NUMERIC"),
    ],
)
async def test_a_config_that_contradicts_itself_is_refused(
    api: Api, body: dict[str, Any], message: str
) -> None:
    answer = await api.client.post(CONFIGS, json=body)
    assert answer.status_code == 400
    assert message in answer.text


async def test_a_change_must_fit_the_data_type(api: Api) -> None:
    stars, tone = await created(api, STARS), await created(api, TONE)
    for config, change, field in (
        (stars, {"minValue": 9}, "maxValue"),
        (stars, {"categories": TONE["categories"]}, "categories"),
        (tone, {"maxValue": 9}, "minValue"),
        (tone, {"categories": []}, "categories"),
    ):
        answer = await api.client.patch(f"{CONFIGS}/{config['id']}", json=change)
        assert (answer.status_code, field in answer.text) == (400, True), answer.text
