"""Query the store for stage 1: which traces it has, and the latest rows of some of them."""

from __future__ import annotations

import asyncio
import re
import sys
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar

import msgspec
import structlog
from aiokafka import TopicPartition

from clickhouse.errors import StoreUnavailable
from clickhouse.rows import ObservationRow, TraceRow
from clickhouse.store import Store
from clickhouse.trace_deletion_rows import TraceDeletionRow
from producers.settings import KafkaSettings
from streams.core.dimensions.sources import OF_OBSERVATIONS
from streams.core.observations.deferral import DeferredRecord
from streams.core.observations.failures import TraceFailedError
from streams.core.observations.fold import Needs
from streams.core.observations.trace_cache import ObservationKey, TraceHistory
from streams.core.observations.trace_log import LoggedTraces
from streams.core.observations.traces import TraceKey
from streams.observations import metrics
from streams.observations.ports import Ends, Restored
from streams.observations.settings import StreamsSettings
from streams.observations.tail import restore
from streams.observations.trace_deletions import read_trace_deletions
from streams.observations.trace_log import (
    delete_logged_before,
    read_logged_traces,
    read_traces_between,
)
from streams.runtime.log_gaps import next_record
from streams.runtime.log_reading import end_of, records_from
from streams.runtime.sink_progress import SinkProgress

log = structlog.get_logger(__name__)

ResultT = TypeVar("ResultT")
RowT = TypeVar("RowT", ObservationRow, TraceRow)

STORE_ANSWER_S: Final = 2.0
_PICO: Final = 1_000_000_000_000
SEEN_SQL: Final = """
SELECT DISTINCT
    reinterpretAsUInt64(reverse(substring(MD5(concat(project_id, '/', id)), 1, 8))) AS hash
FROM traces
WHERE CRC32(concat(project_id, '/', id)) % {partitions:UInt32} = {partition:UInt32}
ORDER BY hash
LIMIT {limit:UInt64}
"""
TRACE_VERSION_SQL: Final = """
SELECT max(row_version) AS version
FROM (SELECT row_version FROM traces UNION ALL SELECT row_version FROM trace_deletions)
"""
# FINAL is not used, because it would read the texts of all neighbouring rows. The latest of several
# versions is selected here. A row with ``is_deleted`` and the same version as another one deletes
# the row that the other one replaces under another sort key, so the other one is the latest.
TRACES_SQL: Final = """
SELECT project_id, id, toUnixTimestamp64Micro(start_time) AS start_us, row_version, name, user_id,
    session_id, environment, release, version, external_id, public, tags, metadata, input, output,
    observation_count, merge_state, is_deleted
FROM traces
PREWHERE project_id IN {projects:Array(String)} AND id IN {traces:Array(String)}
ORDER BY row_version, is_deleted DESC
"""
_NUMBERS: Final = f"""
    project_id, trace_id, id, toUnixTimestamp64Micro(start_time) AS start_us, row_version,
    toUnixTimestamp64Micro(end_time) AS end_us, type, name, parent_id, environment, level, model,
    usage, usage_estimated, toInt64(total_cost * {_PICO}) AS total_cost_pico, cost_source,
    app_root, merge_state, toUnixTimestamp64Micro(completion_start_time) AS completion_start_us,
    toUnixTimestamp64Micro(sent_completion_start_time) AS sent_completion_start_us,
    error_type, app_cache, toInt64(cache_saved * {_PICO}) AS cache_saved_pico,
    toUnixTimestamp64Micro(event_time) AS event_us, is_deleted"""
_TEXTS: Final = f"""
    version, provided_usage, reported_usage, usage_uncertain, provider_derived,
    mapApply((k, v) -> (k, toInt64(v * {_PICO})), provided_cost) AS provided_cost_pico,
    prompt_name, prompt_version, service_name, scope_name, scope_version, status_message,
    model_parameters, input, output, metadata"""
_DIMENSIONS: Final = sorted({str(each.observation_field) for each in OF_OBSERVATIONS})


def _and_dimensions(selected: str) -> str:
    """Return the selected columns, with the columns of dimensions that they lack."""
    names = set(re.findall(r"\w+", selected))
    return ", ".join([selected, *(name for name in _DIMENSIONS if name not in names)])


OBSERVATIONS_SQL: Final = f"""
SELECT {_and_dimensions(_NUMBERS)}
FROM observations
PREWHERE project_id IN {{projects:Array(String)}} AND trace_id IN {{traces:Array(String)}}
ORDER BY row_version, is_deleted DESC
"""  # noqa: S608  # built from constants
TEXTS_SQL: Final = f"""
SELECT {_and_dimensions(f"{_NUMBERS}, {_TEXTS}")}
FROM observations
PREWHERE project_id IN {{projects:Array(String)}} AND trace_id IN {{traces:Array(String)}}
    AND id IN {{ids:Array(String)}}
ORDER BY row_version, is_deleted DESC
"""  # noqa: S608  # built from constants

_observations = msgspec.json.Decoder(ObservationRow, strict=False)
_traces = msgspec.json.Decoder(TraceRow, strict=False)


class StoreHistory:
    """Queries of the store, which are retried until the store is reachable."""

    def __init__(
        self, kafka: KafkaSettings, store: Store, settings: StreamsSettings, progress: SinkProgress
    ) -> None:
        self._kafka = kafka
        self._store = store
        self._settings = settings
        self._progress = progress

    async def next_record(self, partition: int, offset: int) -> int:
        events = TopicPartition(self._kafka.topics.events, partition)
        return await next_record(self._kafka, events, offset)

    async def restore(self, partition: int) -> Restored:
        return await restore(self._kafka, self._settings, partition)

    async def stored(self, partition: int, ends: Ends) -> None:
        topics = self._kafka.topics
        await self._progress.stored(
            {
                TopicPartition(topics.observations, partition): ends.observations,
                TopicPartition(topics.traces, partition): ends.traces,
            }
        )

    async def seen(self, partition: int) -> array[int]:
        parameters = {
            "partitions": self._kafka.event_partitions,
            "partition": partition,
            "limit": self._settings.seen_traces_max,
        }
        body = await self._retrying(
            lambda: self._store.query_bytes(SEEN_SQL, parameters, fmt="RowBinary")
        )
        hashes = array("Q")
        hashes.frombytes(body)
        if sys.byteorder == "big":
            hashes.byteswap()
        if len(hashes) >= self._settings.seen_traces_max:
            metrics.LIMIT_REACHED.labels("seen_traces_max").inc()
            log.warning("limit_reached", limit="seen_traces_max", partition=partition)
        return hashes

    async def is_store_up(self) -> bool:
        try:
            async with asyncio.timeout(STORE_ANSWER_S):
                await self._store.ping()
        except (StoreUnavailable, TimeoutError):
            return False
        return True

    async def source_end(self, partition: int) -> int:
        return await end_of(self._kafka, TopicPartition(self._kafka.topics.events, partition))

    async def deferred(self, partition: int, begin: int) -> AsyncIterator[DeferredRecord]:
        topic = TopicPartition(self._kafka.topics.deferred, partition)
        async for record in records_from(self._kafka, topic, begin):
            yield DeferredRecord(record.offset, record.value or b"", record.headers)

    async def logged_traces(self, partition: int) -> LoggedTraces | None:
        return await read_logged_traces(self._kafka, partition)

    async def traces_between(self, partition: int, begin: int, end: int) -> array[int] | None:
        records_max = self._settings.trace_log_gap_records_max
        return await read_traces_between(self._kafka, partition, begin, end, records_max)

    async def delete_logged(self, partition: int, before: int) -> None:
        await delete_logged_before(self._kafka, partition, before)

    async def trace_deletions(self, partition: int) -> list[TraceDeletionRow]:
        return await read_trace_deletions(self._kafka, partition)

    async def trace_version(self) -> int:
        body = await self._retrying(
            lambda: self._store.query_bytes(TRACE_VERSION_SQL, {}, fmt="RowBinary")
        )
        return int.from_bytes(body[:8], "little")

    async def read_back(self, needs: Needs) -> list[TraceHistory]:
        histories: list[TraceHistory] = []
        for keys in _batches(needs.traces - needs.cached, self._settings.read_back_traces_max):
            histories.extend(await self._read_back(keys, needs))
        for keys in _batches(needs.cached, self._settings.read_back_traces_max):
            histories.extend(await self._read_texts(set(keys), needs))
        return histories

    async def _read_texts(self, keys: set[TraceKey], needs: Needs) -> list[TraceHistory]:
        """Read those observations of cached traces whose texts are needed."""
        histories = {key: TraceHistory(key, None, []) for key in keys}
        wanted = _parts_of([part for part in needs.texts if part[0] in keys])
        for part, row in (await self._latest(TEXTS_SQL, wanted)).items():
            if part in needs.texts:
                histories[part[0]].observations.append(row)
        return list(histories.values())

    async def _read_back(self, keys: list[TraceKey], needs: Needs) -> list[TraceHistory]:
        wanted = {
            "projects": sorted({project_id for project_id, _ in keys}),
            "traces": sorted({trace_id for _, trace_id in keys}),
        }
        traces, latest = await asyncio.gather(
            self._retrying(lambda: self._store.query_bytes(TRACES_SQL, wanted)),
            self._latest(OBSERVATIONS_SQL, wanted),
        )
        with_texts = [
            part for part, row in latest.items() if row.merge_state or part in needs.texts
        ]
        if with_texts:
            texts = await self._latest(TEXTS_SQL, _parts_of(with_texts))
            latest |= {part: texts[part] for part in with_texts if part in texts}
        histories = {key: TraceHistory(key, None, []) for key in keys}
        for trace in _decoded(_traces, traces, lambda row: (row["project_id"], row["id"])):
            history = histories.get((trace.project_id, trace.id))
            if history is not None:
                history.row = None if trace.is_deleted else trace
        for (key, _), row in latest.items():
            history = histories.get(key)
            if history is not None:
                history.observations.append(row)
        return [each for each in histories.values() if each.row is not None or each.observations]

    async def _latest(
        self, sql: str, parameters: dict[str, list[str]]
    ) -> dict[ObservationKey, ObservationRow]:
        """Return the latest version of each observation; versions may differ in the sort key."""
        rows = await self._retrying(lambda: self._store.query_bytes(sql, parameters))
        latest = {
            ((row.project_id, row.trace_id), row.id): row
            for row in _decoded(
                _observations, rows, lambda row: (row["project_id"], row["trace_id"])
            )
        }
        return {part: row for part, row in latest.items() if not row.is_deleted}

    async def _retrying(self, query: Callable[[], Awaitable[ResultT]]) -> ResultT:
        retry_s = self._settings.store_retry_s
        while True:
            try:
                return await query()
            except StoreUnavailable as error:
                log.warning("store_unavailable", reason=str(error), retry_s=retry_s)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, self._settings.store_retry_max_s)


def _decoded(
    decoder: msgspec.json.Decoder[RowT], body: bytes, key_of: Callable[[Any], TraceKey]
) -> list[RowT]:
    """Decode the rows of a result.

    Raises:
        TraceFailedError: a row cannot be decoded, so that its trace cannot be updated.
    """
    try:
        return decoder.decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        for line in body.split(b"\n"):
            try:
                if line:
                    decoder.decode(line)
            except msgspec.ValidationError as error:
                raise TraceFailedError(key_of(msgspec.json.decode(line))) from error
        raise


def _parts_of(parts: Collection[ObservationKey]) -> dict[str, list[str]]:
    """Return query parameters: the distinct projects, traces and observation ids of the keys."""
    return {
        "projects": sorted({key[0] for key, _ in parts}),
        "traces": sorted({key[1] for key, _ in parts}),
        "ids": sorted({part_id for _, part_id in parts}),
    }


def _batches(keys: AbstractSet[TraceKey], size: int) -> Iterator[list[TraceKey]]:
    ordered = sorted(keys)
    for first in range(0, len(ordered), size):
        yield ordered[first : first + size]
