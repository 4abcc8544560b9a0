"""An ``ETag`` depends on its record only, and ``If-Match`` is what RFC 9110 defines."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from producers.control.kinds.limits import Limits
from producers.control.kinds.price import Price
from producers.control.kinds.project import Project
from query_api.errors import BadRequestError
from query_api.v1.etags import etag_of, precondition_of
from tests.query_api.harness import NOON_US, PROJECT, Api

PRICE = {"name": "a", "match": "a", "usd_per_million": {"input": "1"}}
BUDGET = {"name": "b", "period": "day", "limit_usd": "1"}
RECORD = Project(id="acme", name="Acme", created_us=NOON_US)
TAG = f'"{etag_of(RECORD)}"'


def test_a_tag_is_the_same_in_every_process() -> None:
    assert TAG == '"6b252eae8d635ae047f50d8286a5ca98"'


@pytest.mark.parametrize("change", [{"id": "b"}, {"name": "B"}, {"metadata": "[]"}])
def test_a_tag_changes_with_every_field(change: dict[str, Any]) -> None:
    assert etag_of(RECORD.model_copy(update=change)) != etag_of(RECORD)


def test_records_of_two_kinds_have_different_tags() -> None:
    limits = Limits(id="acme", project_id="acme", created_us=NOON_US)
    assert etag_of(limits) != etag_of(RECORD)


@pytest.mark.parametrize(
    ("header", "met"),
    [
        (TAG, True),
        (f" {TAG} ", True),
        ("*", True),
        (f'"a,b", {TAG}', True),
        (f',, {TAG} ,,"x"', True),
        (f'W/"x",{TAG}', True),
        (f"W/{TAG}", False),
        ('""', False),
        (TAG[:-2] + '"', False),
        (TAG.upper(), False),
    ],
)
def test_a_list_of_tags_is_met_by_a_strong_match(header: str, met: bool) -> None:
    assert precondition_of(header).is_met_by(RECORD) is met


def test_nothing_meets_a_precondition_if_there_is_no_record() -> None:
    assert not precondition_of("*").is_met_by(None)
    assert not precondition_of(TAG).is_met_by(None)


@pytest.mark.parametrize(
    "header", ["", " ", ",", "soon", '"a', 'a"', f"{TAG} {TAG}", f"*, {TAG}", f"w/{TAG}", '"a b"']
)
def test_other_text_is_refused(header: str) -> None:
    with pytest.raises(BadRequestError, match="with its quotes"):
        precondition_of(header)


async def created(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer


async def test_what_another_project_writes_changes_no_tag(api: Api) -> None:
    price = await created(api.client, "/v1/prices", PRICE)
    one = f"/v1/prices/{price.json()['id']}"
    for _ in range(3):
        await created(api.other, "/v1/budgets", BUDGET)
    assert (await api.client.get(one)).headers["etag"] == price.headers["etag"]
    same = await api.client.put(one, json=PRICE)
    assert same.headers["etag"] == price.headers["etag"], "a version is no part of a tag"


async def test_a_refused_change_names_no_version(api: Api) -> None:
    price = await created(api.client, "/v1/prices", PRICE)
    one = f"/v1/prices/{price.json()['id']}"
    for headers in ({"if-match": '"x"'}, {"if-match": f"W/{price.headers['etag']}"}):
        refused = await api.client.put(one, json=PRICE | {"name": "b"}, headers=headers)
        assert refused.status_code == 409
        assert not any(each.isdigit() for each in refused.json()["error"]["message"].split())
    several = [("if-match", '"x"'), ("if-match", price.headers["etag"])]
    changed = await api.client.put(one, json=PRICE | {"name": "b"}, headers=several)
    assert changed.status_code == 200
    anyway = await api.client.put(one, json=PRICE, headers={"if-match": "*"})
    assert anyway.status_code == 200


async def test_of_writers_that_read_the_same_record_one_succeeds(api: Api) -> None:
    price = await created(api.client, "/v1/prices", PRICE)
    one, expected = f"/v1/prices/{price.json()['id']}", {"if-match": price.headers["etag"]}
    codes = []
    for name in ("b", "c"):
        changed = await api.client.put(one, json=PRICE | {"name": name}, headers=expected)
        codes.append(changed.status_code)
    assert codes == [200, 409]
    assert [each.name for each in api.control.view[Price].values()] == ["b"]


async def test_limits_that_were_never_set_meet_no_precondition(api: Api) -> None:
    path = f"/v1/admin/projects/{PROJECT}/limits"
    for header in ("*", TAG):
        refused = await api.admin.put(path, json={"events_per_s": 1}, headers={"if-match": header})
        assert refused.status_code == 409
    first = await api.admin.put(path, json={"events_per_s": 1})
    refused = await api.admin.delete(path, headers={"if-match": TAG})
    deleted = await api.admin.delete(path, headers={"if-match": first.headers["etag"]})
    assert (refused.status_code, deleted.status_code) == (409, 204)


async def test_a_tag_from_a_process_that_is_ahead_is_valid(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    price = await created(api.client, "/v1/prices", PRICE)
    one = f"/v1/prices/{price.json()['id']}"
    behind = api.control.view[Price][price.json()["id"]]
    ahead = behind.model_copy(update={"name": "changed elsewhere"})

    async def caught_up() -> None:
        api.control.keep(ahead)

    monkeypatch.setattr(api.control, "caught_up", caught_up)
    headers = {"if-match": f'"{etag_of(ahead)}"'}
    changed = await api.client.put(one, json=PRICE | {"name": "c"}, headers=headers)
    assert changed.status_code == 200, changed.text
