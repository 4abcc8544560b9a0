"""A quota limits a period, over all gateways and their restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import httpx
import pytest

from producers.control.log import ControlLog
from producers.gateway.app import create_gateway
from producers.settings import GatewaySettings, KafkaSettings, LimitsSettings
from producers.usage.counts import UsageCounts
from producers.usage.log import UsageLog
from tests.clickhouse.sink_for_tests import eventually
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, KEYS, Log
from tests.producers.gateway.limits.test_rate_limits import post, score

INTERVAL_S = 0.05
YEARS = count(2030)
QUOTA = LimitsSettings(quota_events=10, quota_period="day", usage_interval_s=INTERVAL_S)


class Gateways:
    """Starts gateways that share counts, at a time that the test sets."""

    def __init__(self, kafka: KafkaSettings, control: ControlLog, now_s: float) -> None:
        self.kafka, self.control, self.now_s = kafka, control, now_s

    @asynccontextmanager
    async def gateway(
        self, limits: LimitsSettings = QUOTA
    ) -> AsyncIterator[tuple[httpx.AsyncClient, UsageCounts]]:
        settings = GatewaySettings(delivery_timeout_s=DELIVERY_TIMEOUT_S)
        usage = UsageLog(self.kafka, INTERVAL_S, UsageCounts(now_s=lambda: self.now_s))
        async with usage.running():
            app = create_gateway(
                self.kafka, settings, self.control, limits=limits, usage=usage.counts
            )
            transport = httpx.ASGITransport(app)
            async with (
                app.running(),
                httpx.AsyncClient(
                    transport=transport, base_url="http://gateway", auth=KEYS
                ) as client,
            ):
                yield client, usage.counts


@pytest.fixture
def gateways(kafka: KafkaSettings, control: ControlLog) -> Gateways:
    """Gateways in a month that no other test has: they share the topic."""
    return Gateways(kafka, control, datetime(next(YEARS), 1, 28, 23, tzinfo=UTC).timestamp())


async def test_what_exceeds_a_quota_is_refused_whole_until_the_period_ends(
    gateways: Gateways, log: Log
) -> None:
    async with gateways.gateway() as (client, _):
        assert (await post(client, 8)).status_code == 200
        refused = await post(client, 3)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "3600"
        assert "10 events per day (UTC) (quota_events)" in refused.json()["message"]
        assert (await post(client, 2)).status_code == 200
        assert (await post(client, 1)).status_code == 429
        assert len(await log.events()) == 10
        gateways.now_s += 3_600
        assert (await post(client, 10)).status_code == 200


async def test_a_restart_forgets_nothing_and_gateways_count_together(gateways: Gateways) -> None:
    async with gateways.gateway() as (client, _):
        assert (await post(client, 4)).status_code == 200
    async with gateways.gateway() as (client, _), gateways.gateway() as (another, counts):
        assert (await post(client, 4)).status_code == 200

        async def is_known() -> bool:
            return counts.used("default", "day").events == 8

        await eventually(is_known)
        assert (await post(another, 3)).status_code == 429
        assert (await post(another, 2)).status_code == 200


async def test_bytes_have_a_quota_of_their_own(gateways: Gateways) -> None:
    limits = LimitsSettings(quota_bytes=1_000, usage_interval_s=INTERVAL_S)
    async with gateways.gateway(limits) as (client, counts):
        assert (await post(client, 1)).status_code == 200
        used = counts.used("default", "month")
        assert (used.events, 0 < used.bytes < 1_000) == (1, True)
        assert (await post(client, 30)).status_code == 429


async def test_requests_with_a_public_key_alone_do_not_use_up_a_quota(gateways: Gateways) -> None:
    async with gateways.gateway() as (client, counts):
        bearer = {"authorization": "Bearer pk-tm-dev"}
        async with httpx.AsyncClient(
            transport=client._transport, base_url="http://gateway", headers=bearer
        ) as stranger:
            scores = [score() for _ in range(20)]
            assert (await stranger.post("/api/public/scores", json=scores)).status_code == 202
        assert counts.used("default", "day").events == 0
