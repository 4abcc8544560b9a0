"""Events of projects as they happen, for ``GET /v1/stream`` and live pages of the console."""
