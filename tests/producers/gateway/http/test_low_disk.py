"""While a disk has too little space, the gateway responds with 503 and the reason."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.disk import MIB, DiskFloor, DiskSettings, Space
from producers.errors import ControlUnavailableError
from producers.gateway.app import create_gateway
from producers.settings import GatewaySettings, KafkaSettings
from tests.producers.gateway.conftest import KEYS

ROUTES = (
    "/v1/traces",
    "/api/public/otel/v1/traces",
    "/api/public/ingestion",
    "/api/public/scores",
)


def almost_full(_: Path) -> Space:
    return Space(10 * MIB, 10_000 * MIB, None)


@pytest.fixture
def low_disk() -> DiskFloor:
    return DiskFloor(DiskSettings(paths="/engine"), almost_full)


@pytest.mark.parametrize("path", ROUTES)
async def test_every_route_answers_503_and_names_the_disk(
    path: str, kafka: KafkaSettings, control: ControlLog, low_disk: DiskFloor
) -> None:
    app = create_gateway(kafka, GatewaySettings(), control, low_disk)
    async with (
        app.running(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", auth=KEYS
        ) as client,
    ):
        answer = await client.post(path, json={})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "the disk of /engine has 10 MiB free" in answer.json()["message"]


async def test_the_control_plane_takes_no_change(kafka: KafkaSettings, low_disk: DiskFloor) -> None:
    log = ControlLog(kafka, low_disk)
    await log.start()
    try:
        with pytest.raises(ControlUnavailableError, match="disk of /engine"):
            await log.put(Project(id="p", name="p", created_us=0))
    finally:
        await log.stop()
