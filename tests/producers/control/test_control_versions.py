"""Writers of several processes change a record only if it is as they read it."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.state import value_of
from producers.errors import ControlConflictError, ControlUnavailableError, ControlVersionError
from producers.kafka.clients import new_producer, stopped
from producers.settings import KafkaSettings
from tests.fixtures.control_log import following
from tests.producers.control.conftest import WRITERS

CHANGES = 8


def counter(count: int) -> Project:
    return Project(id="counter", name=str(count), created_us=1)


def count_in(log: ControlLog) -> int:
    return int(log.view[Project]["counter"].name)


async def test_a_change_succeeds_only_at_the_version_that_was_read(logs: list[ControlLog]) -> None:
    here, there, _ = logs
    await here.create(counter(0))
    await there.caught_up()
    version = there.version_of("project", "counter")
    assert version == here.version_of("project", "counter") is not None

    await here.put(counter(1), expected=version)
    with pytest.raises(ControlVersionError, match="read it again"):
        await there.put(counter(2), expected=version)
    with pytest.raises(ControlVersionError, match="read it again"):
        await there.delete("project", "counter", expected=version)

    await there.caught_up()
    assert count_in(there) == 1
    newer = there.version_of("project", "counter")
    assert newer is not None
    assert newer > version
    # A process that has not read the change yet does not refuse the version that it led to.
    await there.put(counter(2), expected=newer)
    last = there.version_of("project", "counter")
    assert await here.delete("project", "counter", expected=last) is True
    with pytest.raises(ControlVersionError, match="was deleted"):
        await there.put(counter(3), expected=last)
    assert await there.delete("project", "counter") is False


async def test_of_several_writers_that_expect_one_version_one_succeeds(
    logs: list[ControlLog],
) -> None:
    await logs[0].create(counter(0))
    version = logs[0].version_of("project", "counter")
    outcomes = await asyncio.gather(
        *(log.put(counter(n + 1), expected=version) for n, log in enumerate(logs)),
        return_exceptions=True,
    )
    won = [each for each in outcomes if isinstance(each, Project)]
    lost = [each for each in outcomes if isinstance(each, ControlVersionError)]
    assert (len(won), len(lost)) == (1, WRITERS - 1)
    for log in logs:
        await log.caught_up()
        assert log.view[Project]["counter"] == won[0]


async def test_no_change_is_lost_between_writers(logs: list[ControlLog]) -> None:
    await logs[0].create(counter(0))

    async def count_up(log: ControlLog) -> None:
        for _ in range(CHANGES):
            await log.update(Project, "counter", lambda held: counter(int(held.name) + 1))

    await asyncio.gather(*map(count_up, logs))

    for log in logs:
        await log.caught_up()
        assert count_in(log) == WRITERS * CHANGES


async def test_creations_that_abort_the_changes_of_others_lose_none(
    logs: list[ControlLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.control.log.ABORT_OTHERS_AFTER_S", 0.0)
    await logs[0].create(counter(0))

    async def count_up(log: ControlLog) -> None:
        for _ in range(CHANGES):
            await log.update(Project, "counter", lambda held: counter(int(held.name) + 1))

    async def create(log: ControlLog, writer: int) -> None:
        for number in range(CHANGES):
            project_id = f"p{writer}-{number}"
            await log.create(Project(id=project_id, name=project_id, created_us=1))

    changes = [count_up(log) for log in logs]
    await asyncio.gather(*changes, *(create(log, writer) for writer, log in enumerate(logs)))

    for log in logs:
        await log.caught_up()
        assert count_in(log) == WRITERS * CHANGES
        assert len(log.view[Project]) == 1 + WRITERS * CHANGES


@pytest.mark.parametrize("seed", range(3))
async def test_a_writer_that_is_cut_off_anywhere_changes_all_or_nothing(
    kafka: KafkaSettings, logs: list[ControlLog], seed: int
) -> None:
    """The count is between the writes known to be done and those with all that were cut off."""
    chance = random.Random(seed)
    await logs[0].create(counter(0))
    done = cut_off = 0

    async def count_up(log: ControlLog) -> None:
        nonlocal done, cut_off
        for _ in range(CHANGES):
            await log.caught_up()
            held, version = count_in(log), log.version_of("project", "counter")
            try:
                async with asyncio.timeout(chance.choice([0.005, 0.02, 0.05, 30, 30])):
                    await log.put(counter(held + 1), expected=version)
            except ControlVersionError:
                continue
            except (TimeoutError, ControlConflictError, ControlUnavailableError):
                cut_off += 1
            else:
                done += 1

    await asyncio.gather(*map(count_up, logs))

    for log in logs:
        # A write whose caller gave up goes on; with this one it has ended.
        await log.update(Project, "counter", lambda held: held)
    async with following(kafka) as late:
        assert done <= count_in(late) <= done + cut_off
        for log in logs:
            await log.caught_up()
            assert log.view == late.view


async def test_a_writer_that_ends_before_it_commits_has_no_effect_and_holds_nothing_up(
    kafka: KafkaSettings, logs: list[ControlLog]
) -> None:
    here, there, _ = logs
    await here.create(counter(0))
    held = here._state.holder("project/counter")
    assert held is not None
    dying = new_producer(kafka, batch_bytes=1024, transactional_id=f"{kafka.topics.control}-writer")
    await dying.start()
    await dying.begin_transaction()
    await dying.send_and_wait(
        kafka.topics.control, value_of(counter(99), held.born), key=held.log_key.encode()
    )
    await dying.client.close()
    await stopped(dying, 1.0)

    await there.update(Project, "counter", lambda read: counter(int(read.name) + 1))

    await here.caught_up()
    assert count_in(here) == count_in(there) == 1


async def test_a_writer_killed_before_it_commits_delays_neither_a_start_nor_a_creation(
    kafka: KafkaSettings,
) -> None:
    # The broker would abort its transaction only after a minute.
    kafka = kafka.model_copy(update={"control_transaction_timeout_s": 60.0})
    dying = new_producer(kafka, batch_bytes=1024, transactional_id=f"{kafka.topics.control}-writer")
    await dying.start()
    await dying.begin_transaction()
    await dying.send_and_wait(
        kafka.topics.control, value_of(counter(99), None), key=b"project/counter/x"
    )
    begun_s = time.monotonic()
    await dying.client.close()
    await stopped(dying, 1.0)

    async with following(kafka) as log:
        await log.create(Project(id="other", name="other", created_us=1))
        took_s = time.monotonic() - begun_s
        assert list(log.view[Project]) == ["other"]
    assert took_s < 30
