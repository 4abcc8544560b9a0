"""Send the traces of the demo and show the progress."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.demo.traces import DemoTrace, demo_traces
from deploy.errors import DeployError

TRACES_PER_REQUEST: Final = 25
ATTEMPTS_MAX: Final = 8
RETRY_S: Final = 0.5
TIMEOUT_S: Final = 10.0


def send_demo(
    url: str, public_key: str, secret_key: str, *, traces: int, minutes: float, rate: float
) -> None:
    """Send ``traces`` traces with times in the last ``minutes``, at ``rate`` traces per second.

    A ``rate`` of 0 is unlimited.

    Raises:
        DeployError: the server cannot be reached or answers with an error.
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
    with (
        _client(url, public_key, secret_key) as client,
        Progress(*columns) as progress,
    ):
        task = progress.add_task("traces", total=traces)
        started_s, sent = time.monotonic(), 0
        for batch in _batches(load, TRACES_PER_REQUEST):
            _send(client, batch)
            sent += len(batch)
            progress.update(task, completed=sent)
            if rate > 0:
                time.sleep(max(0.0, started_s + sent / rate - time.monotonic()))


def _client(url: str, public_key: str, secret_key: str) -> httpx.Client:
    try:
        return httpx.Client(base_url=url, auth=(public_key, secret_key), timeout=TIMEOUT_S)
    except httpx.InvalidURL as error:
        raise DeployError(f"{url!r} is not a URL like http://HOST:7700: {error}") from error


def _batches(items: Iterable[DemoTrace], size: int) -> Iterator[list[DemoTrace]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _send(client: httpx.Client, batch: list[DemoTrace]) -> None:
    spans = [span for trace in batch for span in trace.spans]
    _post(
        client,
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
    )
    scores = [score for trace in batch for score in trace.scores]
    if scores:
        _post(client, "/api/public/scores", scores)


def _post(client: httpx.Client, path: str, body: Any) -> None:
    """POST a body, retrying while the server answers 429 or 503."""
    for attempt in range(ATTEMPTS_MAX):
        try:
            response = client.post(path, json=body)
        except httpx.TransportError as error:
            raise DeployError(
                f"no tracemill answers at {client.base_url}: {error}; "
                "set its address with --url or TRACEMILL_URL"
            ) from error
        if response.status_code not in {429, 503}:
            break
        time.sleep(RETRY_S * (attempt + 1))
    if response.is_error:
        raise DeployError(f"{path} answered {response.status_code}: {response.text[:300]}")
