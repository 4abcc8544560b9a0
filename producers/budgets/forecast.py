"""Forecast the spend of a period."""

from __future__ import annotations


def linear_pico(spent_pico: int, start_us: int, end_us: int, now_us: int) -> int:
    """Return the spend at the end of a period at its rate so far."""
    elapsed_us = min(max(now_us - start_us, 1), end_us - start_us)
    return spent_pico * (end_us - start_us) // elapsed_us


def reached_at_us(
    spent_pico: int, limit_pico: int, start_us: int, end_us: int, now_us: int
) -> int | None:
    """Return when spend reaches the limit at its rate so far; None if not within the period."""
    elapsed_us = min(max(now_us - start_us, 1), end_us - start_us)
    if spent_pico <= 0:
        return None
    at_us = start_us + -(-limit_pico * elapsed_us // spent_pico)
    return at_us if at_us < end_us else None
