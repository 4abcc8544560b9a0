"""Logs of processes are bounded on disk, and their warnings are printed on the console."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from deploy.supervisor_logs import CONSOLE_LINES_MAX, ConsoleWarnings, RotatingFile, copy_output


def test_a_full_log_is_renamed_and_the_oldest_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "sink.log"
    log = RotatingFile(path, max_bytes=10, kept=2)
    for word in (b"first....\n", b"second...\n", b"third....\n", b"fourth...\n"):
        log.write(word)
    log.close()
    assert path.read_bytes() == b"fourth...\n"
    assert (tmp_path / "sink.log.1").read_bytes() == b"third....\n"
    assert (tmp_path / "sink.log.2").read_bytes() == b"second...\n"
    assert not (tmp_path / "sink.log.3").exists()


def test_a_log_continues_that_of_the_last_run(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        log = RotatingFile(tmp_path / "sink.log")
        log.write(word)
        log.close()
    assert (tmp_path / "sink.log").read_bytes() == b"one\ntwo\n"


class Console:
    """What a process called sink has on the console, and a clock to turn."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.now_s = 0.0
        self._warnings = ConsoleWarnings(
            "sink", self.printed.append, log_path=Path("sink.log"), now_s=lambda: self.now_s
        )

    def lines(self, *lines: str) -> None:
        for line in lines:
            self._warnings.line(line)


@pytest.fixture
def console() -> Console:
    return Console()


def logged(event: str, **fields: object) -> str:
    return json.dumps({"event": event, "level": "warning", **fields})


def test_warnings_of_every_kind_of_process_reach_the_console(console: Console) -> None:
    console.lines(
        "2026-11-21 08:08:50,609 INFO  BrokerServer: starting",
        "2026-11-21 08:08:50,609 WARN  Log: disk is slow",
        logged("insert refused", level="error", table="traces"),
        logged("inserted", level="info", note="no errors"),
    )
    assert console.printed == [
        "sink: 2026-11-21 08:08:50,609 WARN  Log: disk is slow",
        "sink: insert refused table=traces",
    ]


def test_a_flood_of_warnings_is_cut_and_refers_to_the_log_once(console: Console) -> None:
    console.lines(*(logged(f"warning {letter}") for letter in "abcdefgh"))
    assert console.printed == [
        *(f"sink: warning {letter}" for letter in "abcdefgh"[:CONSOLE_LINES_MAX]),
        "sink: more warnings are in sink.log",
    ]


def test_a_repeated_warning_is_shown_once_a_minute_whatever_its_numbers(console: Console) -> None:
    console.lines(*(f"2026-11-21 08:08:{second} WARN Log: slow" for second in range(10, 20)))
    assert console.printed == ["sink: 2026-11-21 08:08:10 WARN Log: slow"]
    console.now_s = 59.9
    console.lines("2026-11-21 08:09:09 WARN Log: slow")
    assert len(console.printed) == 1
    console.now_s = 60.0
    console.lines("2026-11-21 08:09:10 WARN Log: slow")
    assert console.printed[1:] == ["sink: 2026-11-21 08:09:10 WARN Log: slow"]


def test_one_error_and_no_warning_of_a_client_library_is_printed(console: Console) -> None:
    fetcher = "aiokafka.consumer.fetcher"
    console.lines(
        logged("Topic is not available", logger="aiokafka.cluster"),
        logged("Unable to update metadata from [1]", level="error", logger="aiokafka"),
        logged("Failed fetch messages from 1", level="error", logger=fetcher),
        logged("Retrying", logger="clickhouse_connect.driver.client"),
        logged("the store does not answer", logger="clickhouse.sink"),
    )
    assert console.printed == [
        "sink: Unable to update metadata from [1]",
        "sink: the store does not answer",
    ]


def test_ready_again_is_printed_only_after_not_ready(
    console: Console,
) -> None:
    again = logged("ready_again", level="info")
    console.lines(again)
    assert console.printed == []
    console.lines(logged("not_ready", missing="store"), *map(logged, "abcdef"), again, again)
    assert console.printed[0] == "sink: not_ready missing=store"
    assert console.printed[-1] == "sink: ready_again"
    assert console.printed.count("sink: ready_again") == 1


async def test_lines_are_complete_in_whatever_chunks_they_arrive(tmp_path: Path) -> None:
    reader, lines = asyncio.StreamReader(), list[str]()
    log = RotatingFile(tmp_path / "x.log")
    pumping = asyncio.create_task(copy_output(reader, log, lines.append))
    for piece in (b"be", b"gun\nse", b"cond\nunfinished"):
        reader.feed_data(piece)
        await asyncio.sleep(0)
    reader.feed_eof()
    await pumping
    log.close()
    assert lines == ["begun", "second", "unfinished"]
    assert (tmp_path / "x.log").read_bytes() == b"begun\nsecond\nunfinished"
