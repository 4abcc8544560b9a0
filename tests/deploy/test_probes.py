import httpx
from starlette.applications import Starlette

from deploy.probes import probe_routes, report


async def test_a_process_that_is_not_ready_says_what_is_missing_and_when_to_ask_again() -> None:
    missing: dict[str, str | None] = {"store": "the store does not answer"}

    async def store() -> str | None:
        return missing["store"]

    app = Starlette(routes=probe_routes(lambda: report({"store": store})))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://tracemill"
    ) as client:
        refused = await client.get("/readyz")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["checks"] == {"store": "the store does not answer"}
        missing["store"] = None
        answer = await client.get("/readyz")
        assert (answer.status_code, "retry-after" in answer.headers) == (200, False)
