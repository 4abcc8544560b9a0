"""Prices, for both APIs (``/v1`` and Langfuse's)."""
