"""Ask the query API whether a call may be made, within a time limit.

Requests are made by a few background threads with connections that stay open. The caller waits at
most for its timeout, whatever the network, the name server or the API do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from decimal import Decimal
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from tracemill.options import Options
from tracemill.problem_log import ProblemLog

Fail = Literal["open", "closed"]
Amount = Decimal | str | int | float
CallFields = Mapping[str, str | Iterable[str] | Amount | Mapping[str, int] | None]

PATH: Final = "/v1/budgets/decision"
RESPONSE_MAX_BYTES: Final = 1024 * 1024
IDLE_THREAD_S: Final = 30.0
UNAVAILABLE: Final = "unavailable"


class BudgetDecision(msgspec.Struct, frozen=True):
    """Whether a call may be made."""

    allow: bool
    reason: str
    """``within_limit``, ``no_budget``, ``limit_reached``, ``estimate_exceeds_limit``, or
    ``unavailable`` if the API did not answer."""
    message: str = ""
    remaining_usd: Decimal | None = None
    """What the budget leaves before the call; None without a budget."""
    budget_id: str | None = None
    limit_usd: Decimal | None = None
    spent_usd: Decimal | None = None
    incomplete: tuple[str, ...] = ()
    """Budgets that apply, but whose spend may be higher than what is known."""
    as_of: str | None = None
    """Spend before this time is included."""
    staleness_s: float | None = None


class BudgetExceeded(Exception):
    """A budget does not allow a call; ``decision`` has the budget and the reason."""

    def __init__(self, decision: BudgetDecision) -> None:
        super().__init__(decision.message or decision.reason)
        self.decision = decision

    @property
    def reason(self) -> str:
        """Return ``BudgetDecision.reason``."""
        return self.decision.reason

    @property
    def budget_id(self) -> str | None:
        """Return the id of the budget; None if the API did not answer."""
        return self.decision.budget_id

    @property
    def remaining_usd(self) -> Decimal | None:
        """Return what the budget leaves, which may be negative."""
        return self.decision.remaining_usd


class BudgetStats(NamedTuple):
    """Numbers of checks of budgets by outcome."""

    allowed: int
    denied: int
    failed: int
    """The API did not answer in time, or refused the request."""
    cached: int
    """Answered from the cache; they also count as allowed or denied."""


class _ApiError(Exception):
    """The API did not answer, or not with a decision."""


class _Request(NamedTuple):
    target: str
    deadline_s: float
    answer: Future[BudgetDecision]


class BudgetChecks:
    """Check budgets for one tracer."""

    def __init__(self, options: Options, problems: ProblemLog) -> None:
        self._options = options
        self._problems = problems
        self._lock = threading.Lock()
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._threads = self._pending = 0
        self._cache: OrderedDict[str, tuple[float, BudgetDecision]] = OrderedDict()
        self._allowed = self._denied = self._failed = self._cached = 0

    def stats(self) -> BudgetStats:
        """Return the numbers of checks by outcome."""
        return BudgetStats(self._allowed, self._denied, self._failed, self._cached)

    def check(
        self,
        call: CallFields,
        fail: Fail | None,
        timeout_s: float | None,
        cache_s: float | None,
    ) -> BudgetDecision:
        """Return the decision about a call.

        Raises:
            BudgetExceeded: it is denied, or the API did not answer and ``fail`` is ``closed``.
        """
        timeout_s = self._timeout_s(timeout_s)
        begun = self._begin(call, timeout_s)
        if isinstance(begun, BudgetDecision):
            return self._decided(begun)
        target, answer = begun
        try:
            decision = answer.result(timeout_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the application goes on
            answer.cancel()
            return self._fail(error, fail)
        return self._remembered(target, decision, cache_s)

    async def acheck(
        self,
        call: CallFields,
        fail: Fail | None,
        timeout_s: float | None,
        cache_s: float | None,
    ) -> BudgetDecision:
        """Return the decision like ``check``, without blocking the event loop."""
        timeout_s = self._timeout_s(timeout_s)
        begun = self._begin(call, timeout_s)
        if isinstance(begun, BudgetDecision):
            return self._decided(begun)
        target, answer = begun
        try:
            async with asyncio.timeout(timeout_s):
                decision = await asyncio.wrap_future(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the application goes on
            return self._fail(error, fail)
        return self._remembered(target, decision, cache_s)

    def _timeout_s(self, given: float | None) -> float:
        try:
            return self._options.budget_timeout_s if given is None else max(0.0, float(given))
        except (TypeError, ValueError) as error:
            self._problems.mistake("timeout_s", error)
            return self._options.budget_timeout_s

    def _begin(
        self, call: CallFields, timeout_s: float
    ) -> BudgetDecision | tuple[str, Future[BudgetDecision]]:
        """Return a cached decision, or the request and its future answer."""
        answer: Future[BudgetDecision] = Future()
        try:
            target = f"{PATH}?{urlencode(_parameters(call), quote_via=quote)}"
        except Exception as error:  # noqa: BLE001 - a value of any kind
            self._problems.mistake("check_budget", error)
            answer.set_exception(error)
            return "", answer
        with self._lock:
            remembered = self._cache.get(target)
            if remembered is not None and time.monotonic() < remembered[0]:
                self._cached += 1
                return remembered[1]
            if self._pending >= self._options.budget_requests_max:
                answer.set_exception(_ApiError("too many checks are waiting for an answer"))
                return target, answer
            self._pending += 1
            answer.add_done_callback(self._ended)
            self._requests.put(_Request(target, time.monotonic() + timeout_s, answer))
            if self._threads < min(self._pending, self._options.budget_connections_max):
                self._threads += 1
                threading.Thread(target=self._work, name="tracemill-budgets", daemon=True).start()
        return target, answer

    def _ended(self, _answer: Future[BudgetDecision]) -> None:
        with self._lock:
            self._pending -= 1

    def _remembered(
        self, target: str, decision: BudgetDecision, cache_s: float | None
    ) -> BudgetDecision:
        cache_s = self._options.budget_cache_s if cache_s is None else cache_s
        if cache_s and cache_s > 0:
            with self._lock:
                self._cache[target] = (time.monotonic() + cache_s, decision)
                self._cache.move_to_end(target)
                while len(self._cache) > self._options.budget_cache_max:
                    self._cache.popitem(last=False)
        return self._decided(decision)

    def _decided(self, decision: BudgetDecision) -> BudgetDecision:
        with self._lock:
            self._allowed += decision.allow
            self._denied += not decision.allow
        if not decision.allow:
            raise BudgetExceeded(decision)
        return decision

    def _fail(self, error: Exception, fail: Fail | None) -> BudgetDecision:
        """Count and log a failure, and allow or deny the call as chosen."""
        with self._lock:
            self._failed += 1
        is_late = isinstance(error, TimeoutError | FutureTimeoutError)
        reason = "no answer in time" if is_late else (str(error) or repr(error))
        self._problems.warn("budget", "tracemill: budget not checked: %s", reason)
        chosen = fail if fail in get_args(Fail) else self._options.budget_fail
        decision = BudgetDecision(
            allow=chosen == "open", reason=UNAVAILABLE, message=f"budget not checked: {reason}"
        )
        if not decision.allow:
            raise BudgetExceeded(decision) from error
        return decision

    def _work(self) -> None:
        """Make requests until there are none for a while."""
        connection = _Connection(self._options)
        try:
            while (request := self._next()) is not None:
                if not request.answer.set_running_or_notify_cancel():
                    continue
                try:
                    request.answer.set_result(connection.ask(request.target, request.deadline_s))
                except Exception as error:  # noqa: BLE001 - the caller decides
                    connection.close()
                    request.answer.set_exception(error)
        finally:
            connection.close()

    def _next(self) -> _Request | None:
        """Return the next request; None if this thread is no longer needed."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._requests.get(timeout=IDLE_THREAD_S)
            with self._lock:
                if self._requests.empty():
                    self._threads -= 1
                    return None


class _Connection:
    """A connection to the API that stays open."""

    def __init__(self, options: Options) -> None:
        self._url = options.api_url
        keys = base64.b64encode(f"{options.public_key}:{options.secret_key}".encode()).decode()
        self._headers = {"Authorization": f"Basic {keys}", "Accept": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def ask(self, target: str, deadline_s: float) -> BudgetDecision:
        """Return the API's answer.

        Raises:
            Exception: there is none.
        """
        is_reused = self._connection is not None
        try:
            status, body = self._get(target, deadline_s)
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if not is_reused:
                raise
            status, body = self._get(target, deadline_s)  # the server closed it while it was idle
        if status != http.client.OK:
            raise _ApiError(f"HTTP {status}: {body[:300].decode(errors='replace')}")
        return msgspec.json.decode(body, type=BudgetDecision)

    def _get(self, target: str, deadline_s: float) -> tuple[int, bytes]:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        url = urlsplit(self._url)
        if self._connection is None:
            is_tls = url.scheme == "https"
            new = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
            self._connection = new(url.hostname or "", url.port, timeout=remaining_s)
        elif self._connection.sock is not None:
            self._connection.sock.settimeout(remaining_s)
        self._connection.request("GET", url.path.rstrip("/") + target, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read(RESPONSE_MAX_BYTES + 1)
        if len(body) > RESPONSE_MAX_BYTES:
            raise _ApiError(f"the answer is larger than {RESPONSE_MAX_BYTES} bytes")
        return response.status, body


def fields_of(
    environment: str | None,
    call: Mapping[str, str | Iterable[str] | None],
    estimated_usd: Amount | None,
    estimated_tokens: Mapping[str, int] | None,
) -> CallFields:
    """Return the fields that describe a call, by default in the tracer's environment."""
    estimates = {"estimated_usd": estimated_usd, "estimated_tokens": estimated_tokens}
    return {"environment": environment, **call, **estimates}


def _parameters(call: CallFields) -> list[tuple[str, str]]:
    """Return the query parameters that describe a call, without absent ones."""
    parameters: list[tuple[str, str]] = []
    for name, value in call.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            parameters.append((name, msgspec.json.encode(value).decode()))
        elif isinstance(value, str):
            parameters.append((name, value))
        elif isinstance(value, float | int | Decimal):
            parameters.append((name, format(Decimal(str(value)), "f")))
        else:
            parameters += [(name, str(each)) for each in value]
    return parameters
