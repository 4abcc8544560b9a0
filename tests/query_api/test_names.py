"""Names of records that people could not read, or would take for others, are refused."""

from typing import Any

import pytest

from tests.query_api.harness import Api

BODIES: dict[str, dict[str, Any]] = {
    "/v1/alert-rules": {"metric": "count", "threshold": 1},
    "/v1/budgets": {"period": "day", "limit_usd": "1"},
    "/v1/channels": {"type": "webhook", "url": "https://example.com/x"},
    "/v1/routes": {"channel_ids": ["ch_1"]},
}
SILENCE = {"matchers": {"team": "a"}, "duration": "1h"}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "\x1b[31m", "a\u202eb", "\u2066a", "  ", ""])
async def test_a_name_with_invisible_characters_is_refused(api: Api, path: str, name: str) -> None:
    refused = await api.client.post(path, json=BODIES[path] | {"name": name})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "name"), refused.text


@pytest.mark.parametrize("field", ["author", "reason"])
async def test_texts_of_silences_have_no_control_characters(api: Api, field: str) -> None:
    refused = await api.client.post("/v1/silences", json=SILENCE | {field: "a\x00b"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field), refused.text
    assert "U+0000 at position 1" in refused.json()["error"]["message"]


async def test_names_of_any_language_are_allowed(api: Api) -> None:
    for name in ("Ausgaben für Österreich", "预算", "תקציב", "کوتاه‌ها", "👩‍👩‍👧 team"):
        made = await api.client.post("/v1/budgets", json=BODIES["/v1/budgets"] | {"name": name})
        assert (made.status_code, made.json()["name"]) == (201, name)


async def test_a_reason_may_have_several_lines(api: Api) -> None:
    made = await api.client.post("/v1/silences", json=SILENCE | {"reason": "a\n\tb"})
    assert (made.status_code, made.json()["reason"]) == (201, "a\n\tb")


async def test_a_changed_name_is_checked_too(api: Api) -> None:
    made = await api.client.post("/v1/budgets", json=BODIES["/v1/budgets"] | {"name": "a"})
    path = f"/v1/budgets/{made.json()['id']}"
    assert (await api.client.patch(path, json={"name": "\u202e"})).status_code == 422
