"""Record approximately when each API key was last used, in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from producers import metrics
from producers.control.auth import Authenticator
from producers.control.kinds.api_key import ApiKey
from producers.control.log import ControlLog
from producers.errors import ControlError
from producers.settings import KeySettings
from tracemill.clock import now_us

SECOND_US: Final = 1_000_000

log = structlog.get_logger(__name__)


class KeyUses:
    """Set ``last_used_us`` of keys that were used, each at most once per ``last_use_interval_s``.

    Processes that have not read each other's writes yet may each write the same key. A use that
    cannot be written is tried again; it is lost if the process ends first.
    """

    def __init__(
        self,
        control: ControlLog,
        authenticator: Authenticator,
        settings: KeySettings,
        now_us: Callable[[], int] = now_us,
    ) -> None:
        """Create a writer of the uses that ``authenticator`` records."""
        self._control = control
        self._authenticator = authenticator
        self._settings = settings
        self._now_us = now_us

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write every ``last_use_write_interval_s`` while the block runs."""
        task = asyncio.create_task(self._run(), name="uses of keys")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def write(self) -> int:
        """Write the uses since the last call; return the number of changed keys.

        Raises:
            ControlError: they could not be written. The next call tries again.
        """
        used, now_us = self._authenticator.take_used_keys(), self._now_us()
        before_us = now_us - int(self._settings.last_use_interval_s * SECOND_US)
        keys = (self._control.view[ApiKey].get(key_id) for key_id in used)
        due = [key.id for key in keys if key is not None and (key.last_used_us or 0) <= before_us]
        written, writes_max = 0, self._settings.last_use_writes_max
        if len(due) > writes_max:
            metrics.LIMIT_REACHED.labels("last_use_writes_max").inc()
        try:
            for key_id in due[:writes_max]:
                await self._control.update(
                    ApiKey, key_id, lambda key: key.model_copy(update={"last_used_us": now_us})
                )
                written += 1
        finally:
            self._authenticator.used_keys.update(due[written:])
        return written

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.last_use_write_interval_s)
            try:
                await self.write()
            except ControlError as error:
                log.info("key_uses_not_written", reason=str(error))
            except Exception:
                log.exception("key_uses_not_written")
