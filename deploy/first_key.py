"""Which key an installation has, asked of its control plane."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from producers.control.bootstrap import first_key
from producers.control.log import ControlLog
from producers.errors import ProducersError
from producers.settings import InitSettings, KafkaSettings

BROKER_WAIT_S = 10.0


def first_public_key(kafka: KafkaSettings, init: InitSettings) -> str | None:
    """The public key that the settings speak of, else the oldest one; None when there is none or the broker does not say.

    The question has a thread and an event loop of its own: whoever asks may have a loop that runs.
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
