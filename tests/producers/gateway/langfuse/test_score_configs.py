"""Scores that refer to a score config must meet it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from producers.control.kinds.score_config import Category, ScoreConfig
from producers.control.log import ControlLog
from producers.errors import BodyError
from producers.gateway.langfuse.bodies import ScoreBody
from producers.gateway.langfuse.contract_events import Times
from producers.gateway.langfuse.score_events import score_of
from tests.producers.gateway.conftest import Log
from tracemill.contract import Score

NOW_US = 1_795_262_400_000_000


def config(config_id: str, **fields: Any) -> ScoreConfig:
    given = {"project_id": "p", "created_us": NOW_US, "updated_us": NOW_US, **fields}
    return ScoreConfig(id=config_id, **given)


CONFIGS = {
    each.id: each
    for each in (
        config("stars", name="stars", data_type="NUMERIC", min_value=1, max_value=5),
        config("ok", name="ok", data_type="BOOLEAN"),
        config("note", name="note", data_type="TEXT"),
        config("old", name="old", data_type="NUMERIC", is_archived=True),
        config(
            "tone",
            name="tone",
            data_type="CATEGORICAL",
            categories=(Category(label="kind", value=2), Category(label="rude", value=-1)),
        ),
    )
}


def scored(**fields: Any) -> Score:
    body = msgspec.json.decode(json.dumps({"traceId": "t", **fields}), type=ScoreBody)
    return score_of(
        body,
        Times(NOW_US),
        lambda project_id, config_id: CONFIGS.get(config_id) if project_id == "p" else None,
        project_id="p",
        score_id="s",
        ts_us=NOW_US,
    )


@pytest.mark.parametrize(
    ("sent", "data_type", "value", "text"),
    [
        ({"configId": "stars", "name": "stars", "value": 5}, "NUMERIC", 5.0, None),
        ({"configId": "stars", "value": 1, "dataType": "NUMERIC"}, "NUMERIC", 1.0, None),
        ({"configId": "ok", "name": "ok", "value": 1}, "BOOLEAN", 1.0, "True"),
        ({"configId": "tone", "name": "tone", "value": "rude"}, "CATEGORICAL", -1.0, "rude"),
        ({"configId": "note", "name": "note", "value": "fine"}, "TEXT", None, "fine"),
        ({"configId": "", "name": "free", "value": "any"}, "CATEGORICAL", None, "any"),
    ],
)
def test_a_config_determines_the_type_and_the_number_of_a_category(
    sent: dict[str, Any], data_type: str, value: float | None, text: str | None
) -> None:
    found = scored(**sent)
    assert (found.data_type, found.value, found.string_value) == (data_type, value, text)
    assert (found.config_id or "", found.name) == (sent["configId"], sent["configId"] or "free")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"configId": "none", "value": 1}, "configId: no score config 'none'"),
        ({"configId": "old", "value": 1}, "configId: the score config 'old' is archived"),
        ({"configId": "stars", "value": 6}, "value: must be at most 5 by the score config 'stars'"),
        ({"configId": "stars", "value": 0}, "value: must be at least 1 by the score config"),
        ({"configId": "stars", "value": "5"}, "value: NUMERIC takes a number"),
        ({"configId": "stars", "value": 1, "dataType": "BOOLEAN"}, "dataType: must be NUMERIC"),
        ({"configId": "ok", "value": 2}, "value: BOOLEAN takes 0 or 1"),
        ({"configId": "tone", "value": "loud"}, "value: must be one of 'kind', 'rude'"),
        (
            {"configId": "tone", "value": "kind", "dataType": "CORRECTION"},
            "configId: not allowed for corrections",
        ),
    ],
)
def test_a_score_that_does_not_meet_its_config_is_refused(
    sent: dict[str, Any], message: str
) -> None:
    with pytest.raises(BodyError, match=f"^{message}"):
        scored(**sent)


async def test_configs_of_other_projects_are_unknown(
    client: httpx.AsyncClient, control: ControlLog, log: Log
) -> None:
    own = config("own", project_id="default", name="stars", data_type="NUMERIC", max_value=5)
    for each in (own, config("foreign", name="stars", data_type="NUMERIC")):
        await control.create(each)
    body = {"traceId": "t", "name": "stars", "value": 9}
    sent = [
        body | {"configId": "own"},
        body | {"configId": "foreign"},
        body | {"configId": "own", "value": 1, "name": "moons"},
    ]
    answers = [await client.post("/api/public/scores", json=each) for each in sent]
    assert [each.status_code for each in answers] == [400, 400, 400]
    assert "name" in answers[2].text
    as_list = await client.post("/api/public/scores", json=sent)
    assert (as_list.status_code, as_list.json()["accepted"]) == (207, 1)
    await log.begin()
    (issue,) = answers[1].json()["error"]
    assert (issue["path"], issue["message"]) == (["configId"], "no score config 'foreign'")

    batch = [
        {"id": f"e{value}", "type": "score-create", "timestamp": "2026-11-21T12:00:00Z",
            "body": body | {"configId": "own", "value": value, "name": "moons"}}
        for value in (9, 4)
    ]  # fmt: skip
    outcome = (await client.post("/api/public/ingestion", json={"batch": batch})).json()
    assert [each["id"] for each in outcome["successes"]] == ["e4"]
    (error,) = outcome["errors"]
    assert error["error"] == "value: must be at most 5 by the score config 'stars'"
    assert [event.value for event in await log.events() if isinstance(event, Score)] == [4.0]


async def test_a_score_is_deleted_by_an_event(client: httpx.AsyncClient, log: Log) -> None:
    answer = await client.delete("/api/public/scores/a%2Fb")
    assert (answer.status_code, list(answer.json())) == (202, ["message"])
    (event,) = await log.events()
    assert isinstance(event, Score)
    assert (event.project_id, event.id, event.deleted) == ("default", "a/b", True)


async def test_a_public_key_alone_cannot_delete_scores(client: httpx.AsyncClient, log: Log) -> None:
    public = {"authorization": "Bearer pk-tm-dev"}
    answer = await client.delete("/api/public/scores/s", headers=public, auth=None)
    assert answer.status_code == 403
    assert await log.events() == []
