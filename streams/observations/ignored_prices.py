"""Log and count prices that are ignored because they are invalid."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from streams.observations import metrics

log = structlog.get_logger(__name__)


class IgnoredPrices:
    """The ignored prices that were logged; each is logged once."""

    def __init__(self) -> None:
        self._shown: Mapping[str, str] = {}

    def show(self, ignored: Mapping[str, str]) -> None:
        """Report all prices that are ignored now; ``ignored`` has the reasons by price id."""
        for price_id, reason in ignored.items():
            if self._shown.get(price_id) != reason:
                log.warning("price_ignored", price=price_id, reason=reason)
        self._shown = dict(ignored)
        metrics.PRICES_IGNORED.set(len(ignored))
