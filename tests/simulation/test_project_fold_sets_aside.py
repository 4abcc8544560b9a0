"""Deltas that raise are set aside alone, and totals are those of all others, despite crashes."""

import random

import msgspec
import pytest

from streams.core.rollups.spend import SpendCell
from streams.core.rollups.windows import WindowCell
from tests.simulation.fresh_seeds import fresh_seeds
from tests.simulation.project_load import GARBAGE, POISON, Stage1
from tests.simulation.project_world import World, stored_totals
from tests.simulation.test_project_fold_survives import work_off

SEEDS = [*range(40), *fresh_seeds(20)]


@pytest.fixture(autouse=True)
def poison_raises(monkeypatch):
    """Raise in the middle of a change: the cell is half changed by then."""
    apply_window, apply_spend = WindowCell.apply, SpendCell.apply

    def window(cell, change, version, undo=None):
        done = apply_window(cell, change, version, undo)
        if change.name == POISON:
            raise ZeroDivisionError("a bug")
        return done

    def spend(cell, change, version, undo=None):
        done = apply_spend(cell, change, version, undo)
        if change.trace_id == POISON:
            cell.cost_pico += 1_000_000
            raise RecursionError("another")
        return done

    monkeypatch.setattr(WindowCell, "apply", window)
    monkeypatch.setattr(SpendCell, "apply", spend)


@pytest.mark.parametrize("seed", SEEDS)
def test_poisoned_deltas_become_one_dead_letter_each_and_change_no_total(seed):
    rng = random.Random(seed)
    world = World(rng, crash_rate=rng.choice([0.0, 0.01, 0.05, 0.2]))
    source = Stage1(rng, corrections=False, poison=rng.choice([0.02, 0.2, 0.8]))
    source.write(world.log, rng.randint(1, 40))
    work_off(world)

    windows, spend = source.totals()
    stored_windows, stored_spend = stored_totals(world)
    assert (stored_windows, stored_spend) == (windows, spend)

    rows = world.dead_letters.values()
    assert {row.reason for row in rows} <= {"processing_failed"}
    deltas = [
        row for row in rows if row.payload.encode() not in GARBAGE and "\ufffd" not in row.payload
    ]
    assert sorted(row.payload for row in deltas) == sorted(
        msgspec.json.encode(delta).decode() for delta in source.poisoned()
    )
    assert all(row.project_id in ("p1", "p2") and row.source_offset >= 0 for row in deltas)
    lines = {line for value in world.log for line in value.split(b"\n")}
    assert len(rows) - len(deltas) == len(lines & set(GARBAGE))
