"""Parameters of the Langfuse API that take one of several values."""

from __future__ import annotations

import pytest

from tests.query_api.harness import Api

SCORES = ("/api/public/scores", "/api/public/v2/scores", "/api/public/v3/scores")
OBSERVATIONS = ("/api/public/observations", "/api/public/v2/observations")
OF_LISTS = [
    *((path, "source", "EVAL") for path in SCORES),
    *((path, "dataType", "BOOLEAN") for path in SCORES),
    *((path, "type", "GENERATION") for path in OBSERVATIONS),
    *((path, "level", "WARNING") for path in OBSERVATIONS),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("path", "name", "value"), OF_LISTS)
async def test_an_unknown_value_is_refused_with_those_that_are_allowed(
    refusing_api: Api, path: str, name: str, value: str
) -> None:
    answer = await refusing_api.client.get(path, params={name: "nonsense"})
    assert answer.status_code == 400
    (error,) = answer.json()["error"]
    assert (error["path"], value in error["message"]) == ([name], True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("path", "name", "value"), OF_LISTS)
async def test_values_are_accepted_in_any_case(
    refusing_api: Api, path: str, name: str, value: str
) -> None:
    for given in (value, value.lower(), ""):
        answer = await refusing_api.client.get(path, params={name: given})
        assert answer.status_code == 200, answer.text
