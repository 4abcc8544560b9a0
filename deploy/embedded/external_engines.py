"""Check external engines (`--broker`, `--clickhouse`) before `tracemill up` starts anything."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

from clickhouse.address import http_address
from clickhouse.errors import QueryRejected, StoreError
from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.broker_probe import why_broker_unusable
from deploy.errors import EngineError
from producers.broker_addresses import broker_addresses
from producers.settings import KafkaSettings

ANSWER_WITHIN_S: Final = 15.0
AUTHENTICATION_FAILED: Final = 516
REASON_MAX_CHARS: Final = 300


async def require_broker(address: str) -> None:
    """Raise EngineError if the Kafka broker at ``address`` cannot be used."""
    try:
        broker_addresses(address)
    except ValueError as error:
        raise EngineError(f"--broker: {error}") from error
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            fault = await why_broker_unusable(KafkaSettings(broker=address))
    except TimeoutError:
        fault = f"no response within {ANSWER_WITHIN_S:g} s"
    if fault is not None:
        reason = f": {fault}" if fault else ""
        raise EngineError(f"no Kafka broker answers at {address}{reason}")


async def require_clickhouse(url: str) -> None:
    """Raise EngineError if the ClickHouse server at ``url`` cannot be used."""
    try:
        address = urlsplit(http_address(url))
    except ValueError:
        raise EngineError(f"--clickhouse {url!r} is not a URL like http://HOST:8123") from None
    store = Store(StoreSettings(clickhouse_url=url))
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await store.ping()
    except TimeoutError:
        reason = f"no response within {ANSWER_WITHIN_S:g} s"
    except QueryRejected as error:
        reason = _one_line(error)
        if error.code == AUTHENTICATION_FAILED:
            reason = "it refuses TRACEMILL_CLICKHOUSE_USER and TRACEMILL_CLICKHOUSE_PASSWORD"
    except (StoreError, ValueError) as error:
        reason = _one_line(error)
    else:
        return
    finally:
        await store.close()
    shown = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
    raise EngineError(f"no ClickHouse server answers at {shown}: {reason}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON_MAX_CHARS]
