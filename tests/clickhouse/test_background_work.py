"""Merges of the embedded engine pause while its disk is nearly full, and resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickhouse.embedded.access import users_xml
from clickhouse.embedded.background_work import BackgroundWork
from clickhouse.embedded.config import write_config, write_users
from clickhouse.embedded.engine import Engine
from clickhouse.settings import TieringSettings
from producers.disk import MIB, DiskFloor, DiskSettings, Space


class Disk:
    free_mib = 5_000

    def measure(self, _: Path) -> Space:
        return Space(self.free_mib * MIB, 10_000 * MIB, None)

    def floor(self) -> DiskFloor:
        ticks = iter(range(1_000))
        return DiskFloor(DiskSettings(paths="/x"), self.measure, lambda: float(next(ticks)))


def test_merges_stop_at_the_floor_and_start_when_there_is_space() -> None:
    disk, statements = Disk(), list[str]()
    work = BackgroundWork(disk.floor(), statements.append, cold_is_local=True)
    work.check()
    assert statements == []
    disk.free_mib = 10
    work.check()
    work.check()
    assert statements == ["SYSTEM STOP MERGES", "SYSTEM STOP TTL MERGES", "SYSTEM STOP MOVES"]
    statements.clear()
    disk.free_mib = 5_000
    work.check()
    assert statements == ["SYSTEM START MERGES", "SYSTEM START TTL MERGES", "SYSTEM START MOVES"]


def test_rows_still_move_to_a_cold_volume_on_another_disk() -> None:
    disk, statements = Disk(), list[str]()
    disk.free_mib = 10
    BackgroundWork(disk.floor(), statements.append, cold_is_local=False).check()
    assert "SYSTEM STOP MOVES" not in statements


def test_a_refused_statement_is_retried() -> None:
    disk, calls = Disk(), list[str]()
    disk.free_mib = 10

    def refuse_once(statement: str) -> None:
        calls.append(statement)
        if len(calls) == 1:
            raise RuntimeError(statement)

    work = BackgroundWork(disk.floor(), refuse_once, cold_is_local=False)
    with pytest.raises(RuntimeError):
        work.check()
    work.check()
    assert work.is_stopped


def test_the_engine_takes_these_statements(tmp_path: Path) -> None:
    users_file = write_users(tmp_path, users_xml("tracemill"))
    engine = Engine(tmp_path, write_config(tmp_path, TieringSettings(), users_file), {}, idle_max=1)
    try:
        disk = Disk()
        work = BackgroundWork(disk.floor(), engine.command, cold_is_local=True)
        for disk.free_mib in (10, 5_000):
            work.check()
    finally:
        engine.close()
