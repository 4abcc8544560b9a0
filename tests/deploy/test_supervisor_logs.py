"""What processes say: bounded on disk, their warnings on the console."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deploy.supervisor_logs import CONSOLE_LINES_MAX, ConsoleWarnings, RotatingFile, pump


def test_a_full_log_moves_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "sink.log"
    log = RotatingFile(path, max_bytes=10, kept=2)
    for word in (b"first....\n", b"second...\n", b"third....\n", b"fourth...\n"):
        log.write(word)
    log.close()
    assert path.read_bytes() == b"fourth...\n"
    assert (tmp_path / "sink.log.1").read_bytes() == b"third....\n"
    assert (tmp_path / "sink.log.2").read_bytes() == b"second...\n"
    assert not (tmp_path / "sink.log.3").exists()


def test_a_log_goes_on_where_the_last_run_stopped(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        log = RotatingFile(tmp_path / "sink.log")
        log.write(word)
        log.close()
    assert (tmp_path / "sink.log").read_bytes() == b"one\ntwo\n"


def test_warnings_of_every_kind_of_process_reach_the_console() -> None:
    said: list[str] = []
    console = ConsoleWarnings("broker", said.append)
    console.line("2026-11-21 08:08:50,609 INFO  BrokerServer: starting")
    console.line("2026-11-21 08:08:50,609 WARN  Log: disk is slow")
    console.line('{"event": "insert refused", "level": "error", "table": "traces"}')
    console.line('{"event": "inserted", "level": "info", "note": "no errors"}')
    assert said == [
        "broker: 2026-11-21 08:08:50,609 WARN  Log: disk is slow",
        "broker: insert refused table=traces",
    ]


def test_a_flood_of_warnings_is_cut_and_counted() -> None:
    said: list[str] = []
    console = ConsoleWarnings("sink", said.append)
    for number in range(CONSOLE_LINES_MAX + 7):
        console.line(f"WARNING number {number}")
    console.summarise()
    assert len(said) == CONSOLE_LINES_MAX + 1
    assert said[-1] == "sink: 7 more warnings in its log"


async def test_lines_are_whole_however_they_arrive(tmp_path: Path) -> None:
    reader, lines = asyncio.StreamReader(), list[str]()
    log = RotatingFile(tmp_path / "x.log")
    pumping = asyncio.create_task(pump(reader, log, lines.append))
    for piece in (b"be", b"gun\nse", b"cond\nunfinished"):
        reader.feed_data(piece)
        await asyncio.sleep(0)
    reader.feed_eof()
    await pumping
    log.close()
    assert lines == ["begun", "second", "unfinished"]
    assert (tmp_path / "x.log").read_bytes() == b"begun\nsecond\nunfinished"
