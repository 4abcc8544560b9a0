"""Scopes of credentials. Routes and gRPC methods that read or change data require one of them."""

from __future__ import annotations

from typing import Final, Literal, get_args

Scope = Literal["ingest", "scores", "read", "write", "metrics", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""``ingest``: send traces and scores. ``scores``: send scores. ``read``: read the project's data.
``write``: change its budgets, alert rules, webhooks, channels and prices, and delete traces.
``metrics``: read its metrics for Prometheus. ``admin``: manage its keys."""
DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("ingest", "scores", "read", "write")
"""Scopes of keys that are created without a list of scopes."""
