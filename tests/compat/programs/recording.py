"""Record whether the calls of an SDK have the effect that they should have."""

import json
import logging
import time
import warnings

import httpx

logging.disable(logging.CRITICAL)  # SDKs log prompts that do not exist
warnings.simplefilter("ignore")

WITHIN_S = 60
NOT_SERVED = {404, 405}
results = {}


def call(name, *, there=True):
    """Run the decorated function at once: it makes the call, and asserts its effect.

    The state is ``works``, ``not in the SDK``, or how the call failed.
    """

    def run(function):
        if not there:
            results[name] = "not in the SDK"
            return
        try:
            function()
        except Exception as error:  # noqa: BLE001
            results[name] = f"fails: {type(error).__name__}: {str(error)[:300]}"
        else:
            results[name] = "works"

    return run


def not_served(name, function, *, there=True):
    """Record that the server has no route for a call."""
    if not there:
        results[name] = "not in the SDK"
        return
    try:
        function()
    except Exception as error:  # noqa: BLE001
        is_missing = getattr(error, "status_code", None) in NOT_SERVED
        results[name] = "not served" if is_missing else f"fails: {error!r:.300}"
    else:
        results[name] = "works"


def has(target, *path):
    """Return whether an SDK has a call."""
    for name in path:
        target = getattr(target, name, None)
        if target is None:
            return False
    return True


def eventually(find):
    """Return the first true value of ``find``, which is repeated: writes are visible later."""
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        error = None
        try:
            found = find()
        except Exception as failure:  # noqa: BLE001
            found, error = None, failure
        if found:
            return found
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not visible in time: {error or found}")
        time.sleep(0.05)


class Server:
    """Read effects without the SDK."""

    def __init__(self, host, public_key, secret_key):
        self._client = httpx.Client(base_url=host, auth=(public_key, secret_key), timeout=30)

    def get(self, path, **parameters):
        answer = self._client.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    def is_gone(self, path):
        return self._client.get(path).status_code == 404

    def trace(self, trace_id, *, observations, scores):
        """Return a trace once it has all observations and scores."""

        def complete():
            found = self.get(f"/api/public/traces/{trace_id}")
            sizes = len(found["observations"]), len(found["scores"])
            return found if sizes >= (observations, scores) else None

        return eventually(complete)


def report():
    print(json.dumps(results))
