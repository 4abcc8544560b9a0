"""Read an installation's public key from its control plane."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from producers.control.bootstrap import first_key
from producers.control.log import ControlLog
from producers.errors import ProducersError
from producers.settings import InitSettings, KafkaSettings

BROKER_WAIT_S = 10.0


def existing_public_key(kafka: KafkaSettings, init: InitSettings) -> str | None:
    """Return the configured public key if it exists, or else the oldest one.

    Returns None if there is no key or the broker does not respond. The event loop runs in a thread,
    because the caller may already run one.
    """
    kafka = kafka.model_copy(update={"broker_wait_s": BROKER_WAIT_S})
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(_public_key(kafka, init))).result()


async def _public_key(kafka: KafkaSettings, init: InitSettings) -> str | None:
    control = ControlLog(kafka)
    try:
        await control.start()
        key = first_key(control.view, init)
    except ProducersError:
        return None
    finally:
        await control.stop()
    return None if key is None else key.public_key
