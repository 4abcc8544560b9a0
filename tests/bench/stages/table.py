"""Run all stages and format the results as one table."""

from __future__ import annotations

from itertools import chain

from rich.table import Table

from tests.bench.stages import gateway, sdk, stage1, store


def stages_table() -> Table:
    """Takes about a minute; starts a broker and a store for the stages that need one."""
    table = Table("stage", "what it does with one event", "CPU µs", "events/s on one core")
    table.title = "each stage alone"
    for cost in chain(sdk.costs(), gateway.costs(), stage1.costs(), store.costs()):
        rate = f"{1e6 / cost.us_per_event:,.0f}"
        table.add_row(cost.stage, cost.what, f"{cost.us_per_event:.1f}", rate)
    return table
