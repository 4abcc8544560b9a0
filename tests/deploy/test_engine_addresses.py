"""An invalid address of an engine is refused in one line that describes what is allowed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from clickhouse.settings import StoreSettings
from deploy.embedded.external_engines import require_broker, require_clickhouse
from deploy.errors import EngineError
from producers.settings import KafkaSettings

NO_BROKERS = [
    "x:y", ":", ":9092", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:99999999999", "a..b:1",
    "a b:1", "[::1", "[::1]:x", "[x]:1", "a:1,", ",a:1", "a:1,b:2:3", "kafka://a:1", "a:-1",
    "a:٣", f"{'a' * 64}:1", "user@a:1",
]  # fmt: skip
BROKERS = {
    "127.0.0.1:9092": "127.0.0.1:9092",
    "kafka": "kafka",
    "a.example:1, b.example:65535": "a.example:1,b.example:65535",
    "[::1]:9092": "[::1]:9092",
    "::1": "::1",
    "bücher.example:9092": "bücher.example:9092",
    "under_score:9092": "under_score:9092",
}
NO_URLS = [
    "x", "", "http://", "http://:1", "ftp://a:1", "http://[::1", "http://a..b:1", "http://a:x",
    "http://a:65536", "http://a:0", f"http://{'a' * 64}:1", "//a:1",
]  # fmt: skip


@pytest.mark.parametrize("address", NO_BROKERS)
async def test_an_invalid_broker_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match=r"is not HOST:PORT with a port from 1 to 65535"):
        KafkaSettings(broker=address)
    with pytest.raises(EngineError, match=r"^--broker: '.*' is not HOST:PORT"):
        await require_broker(address)


@pytest.mark.parametrize(("given", "used"), BROKERS.items())
def test_spaces_around_broker_addresses_are_ignored(given: str, used: str) -> None:
    assert KafkaSettings(broker=given).broker == used


@pytest.mark.parametrize("url", NO_URLS)
async def test_an_invalid_clickhouse_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a URL like http://HOST:8123"):
        StoreSettings(clickhouse_url=url)
    with pytest.raises(EngineError, match=r"is not a URL like http://HOST:8123$"):
        await require_clickhouse(url)
