"""The tracer never raises into the application, blocks it or uses unbounded memory."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.engines import new_broker, running
from tests.sdk.conftest import create_topic, read, wait_until
from tracemill import Tracer, Usage
from tracemill.contract import Event, Observation, decode_event, encode_event
from tracemill.options import EVENT_OVERHEAD_BYTES

Arrived = Callable[[], list[Event]]

SOON_S = 8
"""A busy machine takes this long at times, but who waits for the default timeouts takes longer."""


@pytest.fixture
def no_server() -> Iterator[str]:
    """An address without a server."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


class Hostile:
    """An object that fights back."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __float__(self) -> float:
        raise RuntimeError("no")


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


def test_with_the_broker_down_nothing_blocks_and_deadlines_are_kept(
    no_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = Tracer("p", no_server, log_interval_s=3_600)
    began = time.monotonic()
    for number in range(1_000):
        with tracer.span(f"n{number}"):
            pass
    assert time.monotonic() - began < SOON_S
    began = time.monotonic()
    assert not tracer.flush(0.5)
    assert time.monotonic() - began < SOON_S
    assert tracer.stats.buffered == 1_000
    no_broker = f"no broker at {no_server}"
    wait_until(lambda: no_broker in caplog.text)
    began = time.monotonic()
    assert not tracer.close(0.5)
    assert time.monotonic() - began < SOON_S
    stats = tracer.stats
    assert (stats.sent, stats.failed, stats.buffered) == (0, 1_000, 0)
    with tracer.span("too late"):
        pass
    assert tracer.stats.dropped == 1
    found = [record.message for record in caplog.records if record.name == "tracemill"]
    assert sum(no_broker in message for message in found) == 1
    assert sum("were not delivered" in message for message in found) == 1
    assert not [record for record in caplog.records if record.name.startswith("aiokafka")]


def test_a_full_buffer_drops_the_newest_and_counts_them(
    no_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    events_max = 100
    tracer = Tracer("p", no_server, buffer_max_bytes=events_max * EVENT_OVERHEAD_BYTES)
    for _ in range(events_max + 250):
        tracer.span().end()
    stats = tracer.stats
    assert (stats.buffered, stats.dropped) == (events_max, 250)
    assert stats.buffered_bytes <= events_max * EVENT_OVERHEAD_BYTES
    assert sum("dropped so far" in record.message for record in caplog.records) == 1
    tracer.close(0)


def test_long_texts_count_towards_the_bound(no_server: str) -> None:
    tracer = Tracer("p", no_server, buffer_max_bytes=1_000_000)
    for _ in range(100):
        tracer.span("x", input="i" * 50_000, output="o" * 50_000).end()
    assert tracer.stats.buffered == 9
    tracer.close(0)


def test_what_is_buffered_while_the_topic_is_missing_arrives_when_it_exists(
    kafka_broker: str, topic_prefix: str, request: pytest.FixtureRequest
) -> None:
    topic = f"{topic_prefix}.events"
    with Tracer("p", kafka_broker, topic=topic, reconnect_max_s=0.1) as tracer:
        tracer.span("early").end()
        wait_until(tracer._delivery._running.is_set)
        assert not tracer.flush(0.3)
        request.getfixturevalue("events_topic")
        assert tracer.flush(20)
        (event,) = request.getfixturevalue("arrived")()
        assert isinstance(event, Observation)
        assert event.name == "early"


def test_invalid_arguments_are_counted_and_the_rest_arrives(
    tracer: Tracer, arrived: Arrived, caplog: pytest.LogCaptureFixture
) -> None:
    bad: dict[str, object] = {
        "type": "NOVEL", "level": "LOUD", "usage": 5, "cost": "a lot", "model_parameters": "hot",
        "prompt_version": "last", "start_us": "now", "no_such": 1,
    }  # fmt: skip
    with tracer.span("kept", input="in", **bad) as span:  # type: ignore[arg-type]
        span.update(output="out", usage={"input": 3, "output": "x", "z": -1, "b": True}, cost=-1)  # type: ignore[dict-item]
    span.update(output="after the end")
    tracer.trace("t", user_id=7, tags=5, public=1)  # type: ignore[arg-type]
    tracer.span("odd", type=[], parent=7).end()  # type: ignore[arg-type]
    tracer.generation("both", type="SPAN").end()  # type: ignore[call-arg]
    tracer.score("s", Hostile())  # type: ignore[arg-type]
    tracer.score("s", 1, no_such=2)
    assert tracer.flush(10)
    kept = {e.name: e for e in arrived() if isinstance(e, Observation)}["kept"]
    assert (kept.input, kept.output, kept.usage) == ("in", "out", {"input": 3})
    assert (kept.type, kept.level, kept.cost) == ("SPAN", None, None) or kept.type is None
    assert tracer.stats.mistakes == 15
    assert sum("so far)" in record.message for record in caplog.records) == 1


def test_an_excessive_usage_or_cost_is_a_mistake_and_the_rest_arrives(
    tracer: Tracer, arrived: Arrived
) -> None:
    tracer.span("most", usage={"output": 10**9}, cost={"a": 60_000, "b": 40_000}).end()
    tracer.span("count", usage={"output": 10**9 + 1}, cost=1).end()
    tracer.span("counts", usage=Usage(input=2**53), cost=1).end()
    tracer.span("amount", usage={"output": 1}, cost="1e999999").end()
    tracer.span("parts", usage={"output": 1}, cost={"a": 60_000, "b": 40_000.01}).end()
    assert tracer.flush(10)
    found = {e.name: (e.usage, e.cost) for e in arrived() if isinstance(e, Observation)}
    assert found == {
        "most": ({"output": 10**9}, {"a": 6 * 10**16, "b": 4 * 10**16}),
        "count": (None, {"total": 10**12}),
        "counts": (None, {"total": 10**12}),
        "amount": ({"output": 1}, None),
        "parts": ({"output": 1}, None),
    }
    assert tracer.stats.mistakes == 4


def test_objects_of_any_kind_become_bounded_texts(
    kafka_broker: str, events_topic: str, arrived: Arrived
) -> None:
    endless: list[object] = []
    endless.append(endless)
    odd: dict[str, object] = {
        "endless": endless, "hostile": Hostile(), "odd": Odd(), "bytes": b"\xff",
        "nan": float("nan"),
        "keys": {(1, 2): 3}, "vast": [[0] * 1_000] * 1_000, "long": "é" * 5_000_000,
        "surrogate": "\ud800!", "error": ValueError("x"), "type": int, "generator": (i for i in ()),
    }  # fmt: skip
    with Tracer("p", kafka_broker, topic=events_topic) as tracer:
        for name, value in odd.items():
            tracer.span(name, input=value, output=[value], metadata={"v": value}).end()
        tracer.span(Hostile(), model=Hostile()).end()  # type: ignore[arg-type]
        assert tracer.flush(20)
        assert tracer.stats.sent == len(odd) + 1
    found = {e.name: e for e in arrived() if isinstance(e, Observation)}
    assert set(odd) < set(found)
    assert all(len(e.input or "") < 201_000 for e in found.values())
    assert found["odd"].output == '["<odd>"]'
    assert "cannot be printed" in (found["hostile"].input or "")
    assert "1000 parts" in (found["vast"].input or "")


def test_texts_of_an_event_too_large_for_a_record_are_cut(
    kafka_broker: str, events_topic: str, arrived: Arrived
) -> None:
    with Tracer("p", kafka_broker, topic=events_topic, text_max_chars=2_000_000) as tracer:
        tracer.span("big", input="x" * 1_500_000, metadata={"y": "z" * 1_500_000}).end()
        assert tracer.flush(20)
    (event,) = arrived()
    assert isinstance(event, Observation)
    assert event.name == "big"
    assert "characters cut" in (event.input or "")
    assert decode_event(encode_event(event)) == event


def test_invalid_options_are_counted_not_raised(no_server: str) -> None:
    tracer = Tracer("p", no_server, compression="brotli", linger_s=-1, speed="high")
    assert tracer.stats.mistakes == 3
    assert tracer.options.compression == "zstd"


def test_a_forked_child_starts_empty_and_resends_nothing(
    kafka_broker: str, events_topic: str, arrived: Arrived
) -> None:
    program = f"""
import os, sys
from tracemill import Tracer
tracer = Tracer("p", {kafka_broker!r}, topic={events_topic!r}, linger_s=0.3)
for n in range(50):
    tracer.span(f"parent-{{n}}").end()
pid = os.fork()
if pid == 0:
    assert tracer.stats.buffered == 0, tracer.stats
    for n in range(20):
        tracer.span(f"child-{{n}}").end()
    ok = tracer.close(10) and tracer.stats.sent == 20
    os._exit(0 if ok else 1)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
ok = tracer.close(10) and tracer.stats.sent == 50
sys.exit(0 if ok and status == 0 else 1)
"""
    _run(program)
    names = [e.name for e in arrived() if isinstance(e, Observation)]
    expected = [f"parent-{n}" for n in range(50)] + [f"child-{n}" for n in range(20)]
    assert sorted(map(str, names)) == sorted(expected)
    assert len({e.id for e in arrived() if isinstance(e, Observation)}) == 70


def test_the_end_of_the_program_delivers_what_is_left(
    kafka_broker: str, events_topic: str, arrived: Arrived
) -> None:
    broker = kafka_broker.replace("127.0.0.1", "localhost")
    _run(f"""
from tracemill import Tracer
tracer = Tracer("p", {broker!r}, topic={events_topic!r}, exit_timeout_s=30)
for n in range(100):
    tracer.span(f"n{{n}}").end()
""")
    assert len(arrived()) == 100


def test_with_the_broker_down_the_program_exits_soon_without_error(no_server: str) -> None:
    ended_s = _run(f"""
import time
from tracemill import Tracer
tracer = Tracer("p", {no_server!r}, exit_timeout_s=0.5)
tracer.span("x").end()
print(time.monotonic())
""")
    assert time.monotonic() - float(ended_s) < SOON_S


def test_a_tracer_that_is_closed_at_once_leaves_no_thread_behind(no_server: str) -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        tracer = Tracer("p", no_server)
        tracer.span().end()
        tracer.close(0)
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_without_an_event_loop_nothing_raises_and_losses_are_counted(
    no_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def out_of_descriptors(main: Coroutine[Any, Any, None]) -> None:
        main.close()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("asyncio.run", out_of_descriptors)
    tracer = Tracer("p", no_server)
    tracer.span().end()
    assert not tracer.flush(SOON_S)
    assert not tracer.close(SOON_S)
    assert (tracer.stats.failed, tracer.stats.buffered) == (1, 0)
    assert "Too many open files" in caplog.text
    assert "1 events were not delivered" in caplog.text


def test_a_broker_that_dies_and_returns_gets_everything(tmp_path: Path) -> None:
    broker = new_broker(tmp_path)
    with running(broker) as process:
        create_topic(broker.address, "events")
        tracer = Tracer("p", broker.address, topic="events", reconnect_max_s=0.2)
        for number in range(100):
            tracer.span(f"before-{number}").end()
        assert tracer.flush(20)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for number in range(100):
            tracer.span(f"between-{number}").end()
        assert not tracer.flush(0.5)
        with running(broker):
            assert tracer.flush(40)
            assert tracer.close(10)
            names = [
                event.name
                for _, events in read(broker.address, "events")
                for event in events
                if isinstance(event, Observation)
            ]
    assert sorted(map(str, names)) == sorted(
        f"{when}-{number}" for when in ("before", "between") for number in range(100)
    )


def _run(program: str) -> str:
    """What the program printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr, run.stderr
    return run.stdout
