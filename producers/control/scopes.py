"""Scopes: what a credential permits. Every route and door demands one of them."""

from __future__ import annotations

from typing import Final, Literal, get_args

Scope = Literal["ingest", "scores", "read", "write", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""All of them: send traces and scores; send scores; read a project's data; change its budgets,
webhooks and prices; manage keys."""
DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("ingest", "scores", "read", "write")
"""Of keys that were made without scopes."""
