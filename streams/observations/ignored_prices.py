"""Log and count prices that are ignored because they are invalid."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from streams.observations import metrics

log = structlog.get_logger(__name__)


class IgnoredPrices:
    """Report ignored prices; each is logged once per reason."""

    def __init__(self) -> None:
        self._logged: Mapping[str, str] = {}

    def report(self, ignored: Mapping[str, str]) -> None:
        """Report all currently ignored prices: ``ignored`` has the reasons by price id."""
        for price_id, reason in ignored.items():
            if self._logged.get(price_id) != reason:
                log.warning("price_ignored", price=price_id, reason=reason)
        self._logged = dict(ignored)
        metrics.PRICES_IGNORED.set(len(ignored))
