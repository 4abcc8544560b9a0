"""An encoded slash in the path of an ingestion route leads to no route."""

from __future__ import annotations

import httpx
import pytest


@pytest.mark.parametrize("path", ["/api/public/ingestion/", "/api/public/scores/", "/v1/traces/"])
async def test_a_slash_at_the_end_changes_nothing(client: httpx.AsyncClient, path: str) -> None:
    answers = [await client.post(each, json={}) for each in (path, path[:-1])]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    "path",
    [
        "/v1%2Ftraces",
        "/api%2fpublic/ingestion",
        "/api/public%2Fscores",
        "/api/public/otel/v1%2Ftraces",
    ],
)
async def test_it_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={})
    assert answer.status_code == 404
    assert path.replace("%2f", "%2F") in answer.json()["message"]


@pytest.mark.parametrize("score_id", ["a%0A", "%0Aa", "%0A"])
async def test_a_line_break_belongs_to_its_id(client: httpx.AsyncClient, score_id: str) -> None:
    refused = await client.delete(f"/api/public/scores/{score_id}")
    assert (refused.status_code, "scoreId" in refused.text) == (400, True), refused.text
