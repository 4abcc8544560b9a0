"""Reports price records that price nothing."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from streams.observations import metrics

log = structlog.get_logger(__name__)


class IgnoredPrices:
    """Counts the records that are ignored now, and logs each of them once."""

    def __init__(self) -> None:
        self._shown: Mapping[str, str] = {}

    def show(self, ignored: Mapping[str, str]) -> None:
        """Take the reasons by the id of the record, of all that are ignored now."""
        for price_id, reason in ignored.items():
            if self._shown.get(price_id) != reason:
                log.warning("price_ignored", price=price_id, reason=reason)
        self._shown = dict(ignored)
        metrics.PRICES_IGNORED.set(len(ignored))
