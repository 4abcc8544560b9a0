"""Prepare a comparison of runs for a page: which items are shown, and what differs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from producers.documents.kinds.dataset_item import DatasetItem
from query_api.context import AppContext
from query_api.documents.document import document_of
from query_api.experiments.comparison import Difference, ScoreChange
from query_api.store.rows import IS_DECLARED, TRACE_CORE, StoredTrace
from query_api.store.trace_reading import fill_io_from_root_observation, read_traces
from query_api.v1.experiments import Comparison, ItemOfRun

FILTERS: Final = ("all", "regressions", "improvements", "failed", "missing")
PREVIEW_CHARS: Final = 300
TRACES_AT_ONCE: Final = 100
"""Traces of one query, whose ids are part of a URL."""
_PREVIEWS: Final = tuple(
    f"leftUTF8({name}, {PREVIEW_CHARS}) AS {name}" for name in ("input", "output")
)
_COLUMNS: Final = (*TRACE_CORE, *_PREVIEWS, f"{IS_DECLARED} AS is_declared", "'{}' AS metadata")


@dataclass(frozen=True, slots=True)
class Cell:
    """What a run did for an item; ``changes`` are the scores that differ from the baseline."""

    result: ItemOfRun
    output: str
    changes: Mapping[str, ScoreChange]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item, and what each run did for it; None: the run lacks the item."""

    item_id: str
    input: str
    expected_output: str
    cells: Sequence[Cell | None]


@dataclass(slots=True)
class Selection:
    """The ids of the items by filter, and the changes of scores by item and run."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    changes: dict[tuple[str, str], dict[str, ScoreChange]] = field(default_factory=dict)


def selection_of(comparison: Comparison, score: str = "") -> Selection:
    """Return which items each filter selects; of regressions, the worst first.

    With ``score``, only changes of this score count.
    """
    found = Selection()
    changed = {
        "regressions": comparison.regressions,
        "improvements": comparison.improvements,
    }
    for name, changes in changed.items():
        of_score = [each for each in changes if not score or each.score == score]
        found.ids[name] = list(dict.fromkeys(each.item_id for each in of_score))
        for each in of_score:
            found.changes.setdefault((each.item_id, each.run), {})[each.score] = each
    found.ids["all"] = [each.item_id for each in comparison.items]
    found.ids["failed"] = list(dict.fromkeys(each.item_id for each in comparison.failed))
    found.ids["missing"] = list(dict.fromkeys(each.item_id for each in comparison.missing))
    return found


def by_measure(differences: Sequence[Difference]) -> Mapping[tuple[str, str], Difference]:
    """Return differences by run and measure."""
    return {(each.run, each.measure): each for each in differences}


async def item_rows(
    context: AppContext,
    project_id: str,
    comparison: Comparison,
    selection: Selection,
    ids: Sequence[str],
) -> list[ItemRow]:
    """Return items with the beginnings of their inputs and of the outputs of all runs.

    Raises:
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    results = {each.item_id: each.runs for each in comparison.items}
    names = [each.name for each in comparison.runs]
    wanted = [
        results[item_id][name].trace_id
        for item_id in ids
        for name in names
        if name in results.get(item_id, {})
    ]
    items, traces = await asyncio.gather(
        context.documents.records(DatasetItem, project_id, ids),
        _traces(context, project_id, wanted),
    )
    rows = []
    for item_id in ids:
        cells: list[Cell | None] = []
        for name in names:
            result = results.get(item_id, {}).get(name)
            if result is None:
                cells.append(None)
                continue
            trace = traces.get(result.trace_id)
            changes = selection.changes.get((item_id, name), {})
            cells.append(Cell(result, "" if trace is None else text_of(trace.output), changes))
        record = items.get(item_id)
        body = None
        if record is not None and not record.is_deleted:
            body = document_of(DatasetItem, record).body
        found = next((traces[cell.result.trace_id] for cell in cells
                      if cell and cell.result.trace_id in traces), None)  # fmt: skip
        rows.append(
            ItemRow(
                item_id,
                preview_of(body.input) if body else text_of(found.input) if found else "",
                preview_of(body.expected_output) if body else "",
                cells,
            )
        )
    return rows


def preview_of(value: Any) -> str:
    """Return the beginning of a value as a text."""
    text = value if isinstance(value, str) else "" if value is None else _json(value)
    return text[:PREVIEW_CHARS]


def text_of(stored: str) -> str:
    """Return the beginning of a stored text; of a JSON string, the string itself."""
    if stored.startswith('"'):
        for end in ("", '"'):  # the text may be cut
            with suppress(ValueError):
                return str(json.loads(stored + end))
    return stored


async def _traces(
    context: AppContext, project_id: str, ids: Sequence[str]
) -> dict[str, StoredTrace]:
    found: dict[str, StoredTrace] = {}
    wanted = list(dict.fromkeys(ids))
    for first in range(0, len(wanted), TRACES_AT_ONCE):
        part = wanted[first : first + TRACES_AT_ONCE]
        found |= await read_traces(context.reader, project_id, part, _COLUMNS)
    if found:
        await fill_io_from_root_observation(context.reader, list(found.values()), columns=_PREVIEWS)
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
