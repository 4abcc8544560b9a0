"""Limit a rate by a token bucket, without a clock of its own."""

from __future__ import annotations


class TokenBucket:
    """A bucket of ``burst`` tokens that refills at ``rate_per_s``.

    An amount above ``burst`` can be taken from a full bucket, and leaves a debt. Later callers wait
    until it is repaid. So the average rate is kept, and no amount is refused forever.
    """

    __slots__ = ("_at_s", "burst", "rate_per_s", "tokens")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.tokens = burst
        """Tokens at the last call of ``wait_s``, without those that were added since."""
        self._at_s = now_s

    def wait_s(self, amount: float, now_s: float) -> float:
        """Return the time until an amount can be taken; 0 if it can be taken now."""
        elapsed_s = now_s - self._at_s
        if elapsed_s > 0:
            self.tokens = min(self.burst, self.tokens + elapsed_s * self.rate_per_s)
            self._at_s = now_s
        missing = min(amount, self.burst) - self.tokens
        return missing / self.rate_per_s if missing > 0 else 0.0

    def change(self, rate_per_s: float, burst: float, now_s: float) -> None:
        """Set a new rate and burst; keep the tokens (up to the new burst) and the debt."""
        self.wait_s(0.0, now_s)  # refills at the previous rate
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.tokens = min(self.tokens, burst)

    def take(self, amount: float) -> None:
        """Take an amount; ``wait_s`` must have returned 0 for it."""
        self.tokens -= amount

    def put_back(self, amount: float) -> None:
        """Put back an amount that was not used."""
        self.tokens = min(self.burst, self.tokens + amount)
