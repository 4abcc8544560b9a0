"""Limit a rate by a token bucket, without a clock of its own."""

from __future__ import annotations


class TokenBucket:
    """A bucket of ``burst`` tokens that refills at ``rate_per_s``.

    An amount above ``burst`` can be taken from a full bucket. The debt is repaid by waiting,
    so the rate holds in the long run and no amount is refused forever.
    """

    __slots__ = ("_at_s", "burst", "rate_per_s", "tokens")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.tokens = burst
        """At least what there is: what was added since the last call of ``wait_s`` is missing."""
        self._at_s = now_s

    def wait_s(self, amount: float, now_s: float) -> float:
        """Return how long to wait until an amount can be taken; 0: it can be taken now."""
        elapsed_s = now_s - self._at_s
        if elapsed_s > 0:
            self.tokens = min(self.burst, self.tokens + elapsed_s * self.rate_per_s)
            self._at_s = now_s
        missing = min(amount, self.burst) - self.tokens
        return missing / self.rate_per_s if missing > 0 else 0.0

    def change(self, rate_per_s: float, burst: float, now_s: float) -> None:
        """Set another rate and burst; tokens and debt stay, up to the new burst."""
        self.wait_s(0.0, now_s)  # adds what was refilled at the former rate
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.tokens = min(self.tokens, burst)

    def take(self, amount: float) -> None:
        """Take an amount for which there is nothing to wait."""
        self.tokens -= amount

    def put_back(self, amount: float) -> None:
        """Return an amount that was not used."""
        self.tokens = min(self.burst, self.tokens + amount)
