"""Keep the token bucket of a rate whose limit can change."""

from __future__ import annotations

from producers.gateway.limits.token_bucket import TokenBucket


class RateLimit:
    """The token bucket of a rate, whose limit can be changed, removed and set again.

    A limit that is set again begins with a full burst, but at most once per ``burst_s``. Otherwise,
    removing and setting it repeatedly would suspend it.
    """

    __slots__ = ("_bucket", "_is_limited", "_refilled_s")

    def __init__(self) -> None:
        self._bucket: TokenBucket | None = None
        """The bucket is kept while the rate is not limited."""
        self._is_limited = False
        self._refilled_s = float("-inf")
        """When the limit last began with a full burst."""

    def change(self, rate_per_s: float, burst_s: float, now_s: float) -> TokenBucket | None:
        """Set the rate (0: no limit), and return the bucket; None if the rate is not limited."""
        was_limited, self._is_limited = self._is_limited, bool(rate_per_s)
        if not rate_per_s:
            return None
        burst = max(rate_per_s * burst_s, 1.0)  # less than one token could never be taken
        if self._bucket is None:
            self._bucket = TokenBucket(rate_per_s, burst, now_s)
            return self._bucket
        self._bucket.change(rate_per_s, burst, now_s)
        if not was_limited and now_s - self._refilled_s >= burst_s:
            self._refilled_s = now_s
            self._bucket.tokens = burst
        return self._bucket
