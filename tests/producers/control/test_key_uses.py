"""When a key was last used is kept to about an hour, with few writes."""

from __future__ import annotations

import base64
import uuid

import pytest

from clickhouse.all_topics import ensure_topics
from producers.control.auth import Authenticator
from producers.control.key_uses import KeyUses
from producers.control.keys import new_api_key
from producers.control.kinds.api_key import ApiKey
from producers.errors import UnauthorizedError
from producers.settings import KafkaSettings, KeySettings
from tests.fixtures.control_log import following

HOUR_US = 3_600_000_000


async def test_each_key_is_written_once_per_interval_and_a_deleted_one_never(
    kafka_broker: str,
) -> None:
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=f"test-{uuid.uuid4().hex[:12]}")
    await ensure_topics(kafka)
    async with following(kafka) as control:
        for name in ("a", "b", "c", "unused"):
            await control.create(
                new_api_key(key_id=name, project_id="p", public_key=name, secret="s", created_us=1)
            )
        now_us = [10 * HOUR_US]
        authenticator = Authenticator(control)
        settings = KeySettings(last_use_writes_max=2)
        uses = KeyUses(control, authenticator, settings, now_us=lambda: now_us[0])

        async def used(*names: str) -> int:
            for name in names:
                pair = base64.b64encode(f"{name}:s".encode())
                authenticator.authenticate(b"Basic " + pair)
                authenticator.authenticate(b"Basic " + pair)
            return await uses.write()

        def seen() -> dict[str, int | None]:
            return {key.id: key.last_used_us for key in control.view[ApiKey].values()}

        assert await used("a", "b", "c") == 2
        assert await used() == 1
        assert seen() == {**dict.fromkeys("abc", 10 * HOUR_US), "unused": None}
        now_us[0] += HOUR_US - 1
        assert await used("a") == 0
        now_us[0] += 1
        with pytest.raises(UnauthorizedError):
            authenticator.authenticate(b"Basic " + base64.b64encode(b"unused:wrong"))
        authenticator.authenticate(b"Bearer b")
        await control.delete("api_key", "b")
        assert await used("a") == 1
        assert seen() == {"a": 11 * HOUR_US, "c": 10 * HOUR_US, "unused": None}
