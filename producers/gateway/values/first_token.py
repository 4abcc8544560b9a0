"""Check the time of a first token against its observation."""

from __future__ import annotations

from producers import metrics


def first_token_within(first_us: int, start_us: int | None, end_us: int | None) -> int | None:
    """Return ``first_us``, or ``None`` if it is before the start or after the end.

    A dropped time is counted. One implausible field is no reason to reject the observation.
    """
    too_early = start_us is not None and first_us < start_us
    too_late = end_us is not None and first_us > end_us
    if not (too_early or too_late):
        return first_us
    metrics.VALUES_DROPPED.labels(field="completion_start_time").inc()
    return None
