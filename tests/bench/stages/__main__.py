"""Print the table of the stages, as `make bench` does: `python -m tests.bench.stages`."""

from __future__ import annotations

from rich.console import Console

from tests.bench.stages.table import stages_table

if __name__ == "__main__":
    Console(width=140).print(stages_table())
