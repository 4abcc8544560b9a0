"""A kind of documents that is defined here: its writes are read at once, in every process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from producers.documents.record import DOCUMENTS
from producers.errors import ControlUnavailableError, TooLargeError
from producers.settings import KafkaSettings
from query_api.documents.documents import Documents
from query_api.errors import ConflictError, UnavailableError
from query_api.settings import QuerySettings
from query_api.store.reader import Reader
from tests.clickhouse.sink_for_tests import count, eventually
from tests.fixtures.control_log import following_documents
from tests.fixtures.sink import sinking
from tests.query_api.documents.notes import Note
from tests.query_api.harness import kept_in


@pytest.fixture(scope="module")
def database(clickhouse_url: str) -> Iterator[str]:
    with kept_in(clickhouse_url) as kept:
        yield kept([])


@pytest.fixture(scope="module")
def kafka(kafka_broker: str) -> KafkaSettings:
    """Topics that all tests of this module share; each has a project of its own."""
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=f"test-{uuid.uuid4().hex[:12]}")
    asyncio.run(ensure_topics(settings))
    return settings


@pytest.fixture
def project() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def store(clickhouse_url: str, database: str) -> AsyncIterator[Store]:
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    yield store
    await store.close()


async def stored(store: Store, project: str, rows: int) -> None:
    """Return when the store has as many rows of the project."""

    async def all_stored() -> bool:
        found = await store.query(
            "SELECT count() AS n FROM documents FINAL WHERE project_id = {p:String}",
            {"p": project},
        )
        return int(found[0]["n"]) == rows

    await eventually(all_stored)


@asynccontextmanager
async def process(
    kafka: KafkaSettings, store: Store, **settings: float
) -> AsyncIterator[Documents]:
    """What a query process has: the log of documents, and a reader of the store."""
    queries = QuerySettings()
    async with following_documents(kafka, **settings) as log:
        yield Documents(log, Reader(store, queries), queries)


async def texts(documents: Documents, project: str, **conditions: object) -> list[str]:
    found, total = await documents.page(
        Note, project, offset=0, limit=100, parent="b", **conditions
    )  # type: ignore[arg-type]
    assert total == len(found)
    return [each.body.text for each in found]


async def test_a_write_is_read_at_once_in_another_process_and_after_it_is_stored(
    kafka: KafkaSettings, store: Store, project: str
) -> None:
    async with (
        process(kafka, store) as writer,
        process(kafka, store) as other,
    ):
        for number in range(20):
            created = await writer.create(
                project, Note(book="b", text=str(number)), id_=f"n{number}"
            )
            assert await other.get(Note, project, f"n{number}") == created
        newest_first = [str(number) for number in reversed(range(20))]
        assert await texts(other, project) == newest_first
        async with sinking(kafka, store):
            await stored(store, project, 40)
            assert await texts(other, project) == newest_first
            await writer.change(Note, project, "n3", lambda _: Note(book="b", text="three"))
            assert await writer.delete(Note, project, "n4")
            assert not await writer.delete(Note, project, "n4")
            changed = ["three" if each == "3" else each for each in newest_first if each != "4"]
            assert await texts(other, project) == changed
            assert await other.get(Note, project, "n4") is None
    async with process(kafka, store) as restarted:
        assert await texts(restarted, project) == changed
        assert (await restarted.get(Note, "other", "n1")) is None
        pages = [
            [
                each.body.text
                for each in (await restarted.page(Note, project, offset=at, limit=3))[0]
            ]
            for at in range(0, 20, 3)
        ]
        assert [each for page in pages for each in page] == changed


async def test_a_page_continues_from_records_of_the_log_to_rows_of_the_store(
    kafka: KafkaSettings, store: Store, project: str
) -> None:
    async with process(kafka, store) as documents, sinking(kafka, store):
        for number in range(7):
            await documents.create(project, Note(book="b", text=f"{number}"), id_=f"n{number}")

        await stored(store, project, 14)
    async with process(kafka, store) as documents:
        for number in (2, 5, 7, 8):
            await documents.change(
                Note,
                project,
                f"n{number}",
                lambda _, text=f"new {number}": Note(book="b", text=text),
            )
        await documents.delete(Note, project, "n0")
        expected = ["new 8", "new 7", "6", "new 5", "4", "3", "new 2", "1"]
        for limit in (1, 2, 3, 5, 8):
            pages = [
                await documents.page(Note, project, offset=at, limit=limit, parent="b")
                for at in range(0, 9, limit)
            ]
            assert [each.body.text for page, _ in pages for each in page] == expected
            assert {total for _, total in pages} == {8}


async def test_versions_are_read_as_of_a_time_from_the_log_and_from_the_store(
    kafka: KafkaSettings, store: Store, project: str
) -> None:
    async def history(documents: Documents) -> list[list[str]]:
        return [await texts(documents, project, as_of_us=at_us) for at_us in times]

    async with process(kafka, store) as documents:
        times = []
        for text in ("first", "second", "third"):
            written = await documents.change(
                Note, project, "n", lambda _, text=text: Note(book="b", text=text)
            )
            times.append(written.updated_us)
        await documents.delete(Note, project, "n")
        times = [times[0] - 1, *times, times[-1] + 10**9]
        expected = [[], ["first"], ["second"], ["third"], []]
        assert await history(documents) == expected
        async with sinking(kafka, store):
            await stored(store, project, 5)
        assert await history(documents) == expected
    async with process(kafka, store) as restarted:
        assert await history(restarted) == expected
        again = await restarted.create(project, Note(book="b", text="again"), id_="n")
        assert again.created_us > times[3]
        assert await texts(restarted, project) == ["again"]


async def test_of_concurrent_creations_of_an_id_the_first_in_the_log_wins(
    kafka: KafkaSettings, store: Store, project: str
) -> None:
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(process(kafka, store)) for _ in range(3)]
        outcomes = await asyncio.gather(
            *(
                processes[number % 3].create(project, Note(book="b", text=str(number)), id_="n")
                for number in range(9)
            ),
            return_exceptions=True,
        )
        (winner,) = [each for each in outcomes if not isinstance(each, BaseException)]
        assert sum(isinstance(each, ConflictError) for each in outcomes) == 8
        for each in processes:
            assert await each.get(Note, project, "n") == winner
        async with sinking(kafka, store):
            await stored(store, project, 2)
    async with process(kafka, store) as restarted:
        assert await restarted.get(Note, project, "n") == winner


async def test_concurrent_changes_of_a_document_are_all_applied(
    kafka: KafkaSettings, store: Store, project: str
) -> None:
    async with (
        process(kafka, store) as one,
        process(kafka, store) as other,
    ):
        many = [(f"m{n % 3}", lambda _, n=n: Note(book="m", text=str(n))) for n in range(6)]
        written = await one.change_all(Note, project, many)
        assert [each.body.text for each in written] == list("012345")  # type: ignore[union-attr]
        found, total = await other.page(Note, project, offset=0, limit=9, parent="m")
        assert (sorted(each.body.text for each in found), total) == (["3", "4", "5"], 3)

        async def append(documents: Documents, letter: str) -> None:
            await documents.change(
                Note,
                project,
                "n",
                lambda now: Note(book="b", text=(now.text if now else "") + letter),
            )

        await asyncio.gather(*(append((one, other)[n % 2], "abcdef"[n]) for n in range(6)))
        found = await one.get(Note, project, "n")
        assert found is not None
        assert sorted(found.body.text) == list("abcdef")


async def test_while_the_store_is_down_written_documents_can_still_be_read_by_id(
    kafka: KafkaSettings, store: Store, project: str
) -> None:
    async with process(kafka, store) as documents:
        await documents.create(project, Note(book="b", text="x"), id_="n")
    stopped_store = Store(StoreSettings(clickhouse_url="http://127.0.0.1:1"))
    async with process(kafka, stopped_store) as restarted:
        found = await restarted.get(Note, project, "n")
        assert found is not None
        assert found.body.text == "x"
        changed = await restarted.change(Note, project, "n", lambda _: Note(book="b", text="y"))
        assert await restarted.get(Note, project, "n") == changed
        with pytest.raises(UnavailableError):
            await restarted.get(Note, project, "another")


async def test_limits_refuse_writes_and_name_the_setting(
    kafka: KafkaSettings, store: Store, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(kafka, store, tail_max_bytes=2**20, record_max_bytes=700_000) as documents:
        with pytest.raises(TooLargeError, match="documents_record_max_bytes"):
            await documents.create(project, Note(book="b", text="x" * 700_000))
        await documents.create(project, Note(book="b", text="x" * 600_000))
        await documents.create(project, Note(book="b", text="x" * 600_000))
        with pytest.raises(ControlUnavailableError, match="documents_tail_max_bytes"):
            await documents.create(project, Note(book="b", text="x"))
    monkeypatch.setattr(Note, "per_project_max", 3)
    async with process(kafka, store) as documents:
        await documents.create(project, Note(book="b", text="x"))
        with pytest.raises(ConflictError, match="notes_per_project_max"):
            await documents.create(project, Note(book="b", text="x"))
        for name in "abc":
            await documents.create(f"{project}-q", Note(book="b", text=""), id_=name)
        assert await documents.delete_children(Note, f"{project}-q", "b") == 3
        assert await documents.create(f"{project}-q", Note(book="b", text="x"))


async def test_an_unreadable_record_is_skipped_and_becomes_a_dead_letter(
    kafka: KafkaSettings, store: Store, project: str, producer: AIOKafkaProducer
) -> None:
    await producer.send_and_wait(kafka.topics.of(DOCUMENTS), b'{"project_id":"p"}', partition=0)
    async with process(kafka, store) as documents, sinking(kafka, store):
        await documents.create(project, Note(book="b", text="x"), id_="n")

        async def is_set_aside() -> bool:
            return await count(store, "dead_letters") == 1

        await stored(store, project, 2)
        await eventually(is_set_aside)
