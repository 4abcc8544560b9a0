"""Send the traces of the demo and show the progress."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.api_requests import Connection, connect
from deploy.demo.traces import DemoTrace, demo_traces
from deploy.errors import ApiUnavailableError

TRACES_PER_REQUEST: Final = 25
ATTEMPTS_MAX: Final = 8
RETRY_S: Final = 0.5
"""Pause after the first response 429 or 503 without ``Retry-After``; it grows with each attempt."""
RETRY_AFTER_MAX_S: Final = 120
"""Maximum pause; if the server requests a longer one, the demo ends."""
TIMEOUT_S: Final = 10.0

Show = Callable[[str], None]


def send_demo(
    url: str, public_key: str, secret_key: str, *, traces: int, minutes: float, rate: float
) -> None:
    """Send ``traces`` traces with times in the last ``minutes``, at ``rate`` traces per second.

    A ``rate`` of 0 is unlimited.

    Raises:
        DeployError: the server cannot be reached or responds with an error.
    """
    end_ns = time.time_ns()
    start_ns = end_ns - int(minutes * 60e9)
    load = demo_traces(traces, start_ns, end_ns, seed=secrets.randbits(32))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    connection = connect(url, timeout_s=TIMEOUT_S, secret=secret_key, public_key=public_key)
    with Progress(*columns) as progress:

        def show(line: str) -> None:
            progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

        task = progress.add_task("traces", total=traces)
        started_s, sent = time.monotonic(), 0
        for batch in _batches(load, TRACES_PER_REQUEST):
            _send(connection, batch, show)
            sent += len(batch)
            progress.update(task, completed=sent)
            if rate > 0:
                time.sleep(max(0.0, started_s + sent / rate - time.monotonic()))


def _batches(items: Iterable[DemoTrace], size: int) -> Iterator[list[DemoTrace]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _send(connection: Connection, batch: list[DemoTrace], show: Show) -> None:
    spans = [span for trace in batch for span in trace.spans]
    _post(
        connection,
        "/api/public/otel/v1/traces",
        {
            "resourceSpans": [
                {
                    "resource": {
                        "attributes": [
                            {"key": "service.name", "value": {"stringValue": "support-chat"}},
                            {
                                "key": "deployment.environment.name",
                                "value": {"stringValue": "demo"},
                            },
                        ]
                    },
                    "scopeSpans": [{"scope": {"name": "tracemill.demo"}, "spans": spans}],
                }
            ]
        },
        show,
    )
    scores = [score for trace in batch for score in trace.scores]
    if scores:
        _post(connection, "/api/public/scores", scores, show)


def _post(connection: Connection, path: str, body: Any, show: Show) -> None:
    """POST a body; repeat the request after a pause while the server answers 429 or 503.

    Raises:
        DeployError: the server does so too often, requests a pause that is too long, or responds
            with another error.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            connection.send("POST", path, body)
        except ApiUnavailableError as error:
            wait_s = error.retry_after_s if error.retry_after_s is not None else RETRY_S * attempt
            if (
                error.status not in {429, 503}
                or attempt == ATTEMPTS_MAX
                or wait_s > RETRY_AFTER_MAX_S
            ):
                raise
            show(f"{error}: waiting {wait_s:g} s ({attempt} of {ATTEMPTS_MAX - 1})")
            time.sleep(wait_s)
        else:
            return
