"""What an application records is what arrives."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal

import pytest

from tests.sdk.conftest import PARTITIONS, Records
from tracemill import Tracer, Usage
from tracemill.contract import Event, Observation, Score, TraceUpdate
from tracemill.partitioning import partition_key, partition_of

Arrived = Callable[[], list[Event]]


def _observations(events: list[Event]) -> dict[str | None, Observation]:
    return {event.name: event for event in events if isinstance(event, Observation)}


def test_nested_blocks_arrive_as_a_tree_with_all_fields(tracer: Tracer, arrived: Arrived) -> None:
    with tracer.trace("chat", user_id="u-1", session_id="s-1", tags=["a", "b"]) as trace:
        with tracer.span("retrieve", type="RETRIEVER", input={"query": "why"}) as retrieve:
            retrieve.update(output=["doc"], metadata={"k": 1})
            retrieve.update(metadata={"l": 2})
        with (
            tracer.span("answer", type="AGENT") as answer,
            tracer.generation(
                "llm", model="gpt-4o", model_parameters={"temperature": 0.5}, input="why?"
            ) as generation,
        ):
            generation.first_token()
            generation.update(
                output="because",
                usage=Usage(input=10, output=3, cache_read=5, reasoning=2),
                cost={"input": "0.000001", "output": Decimal("0.5")},
            )
            tracer.event("cache-miss", level="WARNING")
        trace.score("helpful", 0.9)
        generation.score("tone", "kind", comment="yes")
    assert tracer.flush(10)
    events = arrived()
    found = _observations(events)
    updates = [event for event in events if isinstance(event, TraceUpdate)]
    assert [u.trace and (u.trace.name, u.trace.user_id, u.trace.tags) for u in updates] == [
        ("chat", "u-1", ("a", "b"))
    ]
    assert {event.trace_id for event in events} == {trace.trace_id}
    assert all(event.project_id == "project-1" for event in events)
    assert {name: span.parent_id for name, span in found.items()} == {
        "retrieve": None, "answer": None, "llm": answer.id, "cache-miss": generation.id,
    }  # fmt: skip
    assert found["retrieve"].type == "RETRIEVER"
    assert json.loads(found["retrieve"].metadata or "") == {"k": 1, "l": 2}
    assert json.loads(found["retrieve"].input or "") == {"query": "why"}
    llm = found["llm"]
    assert (llm.type, llm.model, llm.input, llm.output) == (
        "GENERATION",
        "gpt-4o",
        "why?",
        "because",
    )
    assert llm.usage == {
        "input": 10, "output": 3, "input_cached_tokens": 5, "output_reasoning_tokens": 2,
    }  # fmt: skip
    assert llm.cost == {"input": 1_000_000, "output": 500_000_000_000}
    assert llm.start_us is not None
    assert llm.end_us is not None
    assert llm.completion_start_us is not None
    assert llm.start_us <= llm.completion_start_us <= llm.end_us == llm.ts_us
    assert (llm.environment, llm.partial) == ("test", False)
    assert found["cache-miss"].level == "WARNING"
    scores = {event.name: event for event in events if isinstance(event, Score)}
    assert (scores["helpful"].value, scores["helpful"].data_type) == (0.9, "NUMERIC")
    assert scores["tone"].observation_id == generation.id
    assert (scores["tone"].string_value, scores["tone"].data_type) == ("kind", "CATEGORICAL")
    stats = tracer.stats
    assert (stats.sent, stats.dropped, stats.failed, stats.buffered) == (len(events), 0, 0, 0)


def test_an_exception_passes_through_and_marks_its_span(tracer: Tracer, arrived: Arrived) -> None:
    with pytest.raises(ZeroDivisionError), tracer.span("outer"), tracer.span("inner"):
        _ = 1 // 0
    assert tracer.flush(10)
    found = _observations(arrived())
    assert found["inner"].level == found["outer"].level == "ERROR"
    assert "ZeroDivisionError" in (found["inner"].status_message or "")


def test_decorated_functions_of_every_kind_behave_as_before(
    tracer: Tracer, arrived: Arrived
) -> None:
    @tracer.observe
    def add(a: int, b: int = 2) -> int:
        tracer.event("inside")
        return a + b

    @tracer.observe("fetch", type="TOOL")
    async def fetch(what: str) -> str:
        await asyncio.sleep(0)
        return what.upper()

    @tracer.observe
    def count(to: int) -> Iterator[int]:
        got = 0
        for number in range(to):
            got += (yield number) or 0
        return got

    @tracer.observe(capture_input=False)
    async def stream(secret: str) -> AsyncIterator[str]:
        for letter in "abc":
            yield letter

    async def collect() -> list[str]:
        return [piece async for piece in stream("secret")]

    assert add(1) == 3
    assert asyncio.run(fetch("x")) == "X"
    counting = count(2)
    assert next(counting) == 0
    assert tracer.current_span() is None  # the consumer is not inside the generator's span
    assert counting.send(7) == 1
    with pytest.raises(StopIteration) as stopped:
        counting.send(5)
    assert stopped.value.value == 12
    assert asyncio.run(collect()) == ["a", "b", "c"]
    assert tracer.flush(10)
    found = _observations(arrived())
    assert json.loads(found["add"].input or "") == {"a": 1}
    assert found["inside"].parent_id == found["add"].id
    assert (found["fetch"].type, found["fetch"].output) == ("TOOL", "X")
    assert found["count"].output == "[0,1]"
    assert found["count"].completion_start_us is not None
    assert (found["stream"].input, found["stream"].output) == (None, "abc")


def test_a_generator_left_early_ends_its_span(tracer: Tracer, arrived: Arrived) -> None:
    closed = []

    @tracer.observe
    def numbers() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    for number in numbers():
        if number == 3:
            break
    assert closed == [True]
    assert tracer.flush(10)
    span = _observations(arrived())["numbers"]
    assert (span.output, span.level) == ("[0,1,2,3]", None)


def test_an_error_thrown_in_or_raised_by_a_generator_is_its_own(
    tracer: Tracer, arrived: Arrived
) -> None:
    @tracer.observe
    def stubborn() -> Iterator[str]:
        try:
            yield "one"
        except KeyError:
            yield "caught"
        raise ValueError("at the end")

    generator = stubborn()
    assert next(generator) == "one"
    assert generator.throw(KeyError("x")) == "caught"
    with pytest.raises(ValueError, match="at the end"):
        next(generator)
    assert tracer.flush(10)
    assert _observations(arrived())["stubborn"].level == "ERROR"


def test_tasks_and_threads_keep_their_traces_apart(tracer: Tracer, arrived: Arrived) -> None:
    async def work(number: int) -> None:
        async with tracer.trace(f"trace-{number}"), tracer.span(f"outer-{number}"):
            await asyncio.sleep(0)
            with tracer.span(f"inner-{number}"):
                await asyncio.sleep(0)

    async def all_at_once() -> None:
        await asyncio.gather(*(work(number) for number in range(5)))
        assert await tracer.aflush(10)

    def in_thread() -> None:
        asyncio.run(work(99))

    thread = threading.Thread(target=in_thread)
    thread.start()
    asyncio.run(all_at_once())
    thread.join()
    assert tracer.flush(10)
    found = _observations(arrived())
    for number in (*range(5), 99):
        outer, inner = found[f"outer-{number}"], found[f"inner-{number}"]
        assert (inner.parent_id, inner.trace_id) == (outer.id, outer.trace_id)
    assert len({span.trace_id for span in found.values()}) == 6


def test_a_trace_may_be_continued_elsewhere(tracer: Tracer, arrived: Arrived) -> None:
    with tracer.span("here") as here:
        pass
    tracer.span("there", trace_id=here.trace_id, parent_id=here.id).end(output="done")
    tracer.span("child", parent=here).end()
    assert tracer.flush(10)
    found = _observations(arrived())
    assert found["there"].parent_id == found["child"].parent_id == here.id
    assert {span.trace_id for span in found.values()} == {here.trace_id}


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", "none"])
def test_every_event_lies_in_the_partition_of_its_trace_many_to_a_record(
    kafka_broker: str, events_topic: str, records: Callable[[], Records], compression: str
) -> None:
    with Tracer(
        "p",
        kafka_broker,
        topic=events_topic,
        compression=compression,
        record_max_events=50,
        linger_s=0.5,
    ) as tracer:
        for number in range(2_000):
            tracer.span(f"n{number}", trace_id=f"t{number % 40}", input="x" * 200).end()
        assert tracer.flush(10)
    found = records()
    seen: dict[str, list[str | None]] = {}
    for partition, events in found:
        assert 1 <= len(events) <= 50
        for event in events:
            assert isinstance(event, Observation)
            assert partition == partition_of("p", partition_key(event), PARTITIONS)
            seen.setdefault(event.trace_id, []).append(event.name)
    assert seen == {
        f"t{trace}": [f"n{number}" for number in range(trace, 2_000, 40)] for trace in range(40)
    }
    assert len(found) < 2_000 / 5
