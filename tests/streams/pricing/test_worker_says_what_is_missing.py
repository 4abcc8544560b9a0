from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from streams.core.pricing.valuation import NoTokens
from streams.runtime import worker


def test_a_worker_without_tokenizers_logs_that_nothing_is_estimated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "installed_tokens", lambda: None)
    with capture_logs() as logs:
        assert isinstance(worker.tokens_or_warning(), NoTokens)
    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("usage_not_estimated", "warning")
    ]
