"""Comments on traces, observations, sessions and prompts, in the format of Langfuse."""

from __future__ import annotations

import asyncio
from typing import Any

from query_api.settings import QuerySettings
from tests.query_api.harness import PROJECT, Api, observation, opened, trace


async def test_comments_are_created_listed_and_read(api: Api) -> None:
    path = "/api/public/comments"
    made = []
    await api.insert(trace("t", session_id="s"), observation("t", "o"))
    prompt = {"name": "greet", "prompt": "hi"}
    version = (await api.client.post("/api/public/v2/prompts", json=prompt)).json()["id"]
    objects = (
        ("TRACE", "t"), ("OBSERVATION", "o"), ("SESSION", "s"), ("PROMPT", version), ("TRACE", "t"),
    )  # fmt: skip
    for number, (object_type, object_id) in enumerate(objects):
        body = {"projectId": PROJECT, "objectType": object_type, "objectId": object_id}
        given = {**body, "content": str(number), "authorUserId": "ada" if number else None}
        made.append((await api.client.post(path, json=given)).json()["id"])
    comment = (await api.client.get(f"{path}/{made[1]}")).json()
    assert (comment["objectType"], comment["objectId"], comment["content"]) == (
        "OBSERVATION", "o", "1",
    )  # fmt: skip

    async def found(**parameters: Any) -> list[str]:
        answer = (await api.client.get(path, params=parameters)).json()
        return [each["content"] for each in answer["data"]]

    assert await found() == ["4", "3", "2", "1", "0"]
    assert await found(objectType="TRACE") == ["4", "0"]
    assert await found(objectType="TRACE", objectId="t") == ["4", "0"]
    assert await found(authorUserId="ada", limit=2, page=2) == ["2", "1"]
    assert (await api.client.get(path, params={"objectId": "o0"})).status_code == 400
    assert (await api.other.get(f"{path}/{made[1]}")).status_code == 404
    for fields, status in (({"projectId": "globex"}, 404), ({"content": ""}, 400)):
        given = {"objectType": "TRACE", "objectId": "t", "content": "c", **fields}
        assert (await api.client.post(path, json=given)).status_code == status


async def test_a_comment_on_what_the_project_does_not_have_is_refused(
    clickhouse_url: str, shared_database: str
) -> None:
    settings = QuerySettings(comment_object_wait_s=0)
    async with opened(clickhouse_url, shared_database, settings) as api:
        await api.empty()
        await api.insert(trace("t", session_id="s"), observation("t", "o"))
        prompt = {"name": "greet", "prompt": "hi"}
        deleted = (await api.client.post("/api/public/v2/prompts", json=prompt)).json()["id"]
        assert (await api.client.delete("/api/public/v2/prompts/greet")).is_success
        for client, object_type, object_id in (
            (api.client, "TRACE", "o"), (api.client, "OBSERVATION", "t"),
            (api.client, "SESSION", "t"), (api.client, "PROMPT", "greet"),
            (api.client, "PROMPT", deleted), (api.other, "TRACE", "t"),
        ):  # fmt: skip
            given = {"objectType": object_type, "objectId": object_id, "content": "c"}
            refused = await client.post("/api/public/comments", json=given)
            assert refused.status_code == 404
            assert refused.json()["message"] == (
                f"Reference object, {object_type}: {object_id} not found in project."
            )


async def test_a_comment_waits_until_the_trace_that_was_just_sent_is_stored(api: Api) -> None:
    given = {"objectType": "TRACE", "objectId": "late", "content": "c"}
    async with asyncio.TaskGroup() as tasks:
        comment = tasks.create_task(api.client.post("/api/public/comments", json=given))
        await api.insert(trace("late"))
    assert comment.result().status_code == 200
