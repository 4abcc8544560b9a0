"""Print the rows of a query as a table or as CSV, and the explanation of a query."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from deploy.record_output import print_record, print_records
from producers.csv_cells import csv_cell

OTHER: Final = "(others)"
UTC: Final = "UTC"
_DIGITS: Final = 6

Row = Mapping[str, Any]


def print_table(rows: Sequence[Row], meta: Row) -> None:
    """Print rows as a table, and on standard error where they are from."""
    columns, records = _records(rows, meta)
    shown = [{name: _shown(value) for name, value in each.items()} for each in records]
    print_records(shown, False, columns, always=columns)
    begin, end = _in_zone(meta["from"], meta), _in_zone(meta["to"], meta)
    about = [f"from {begin} to {end}", f"sources: {', '.join(meta['sources'])}"]
    if meta.get("fresh_until"):
        about.append(f"complete until {_in_zone(meta['fresh_until'], meta)}")
    if meta.get("has_more"):
        about.append("there are more rows (--limit)")
    print("; ".join(about), file=sys.stderr)
    _print_warnings(meta)


def print_csv(rows: Sequence[Row], meta: Row) -> None:
    """Print rows as CSV; lists and objects are JSON."""
    columns, records = _records(rows, meta)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for each in records:
        writer.writerow([csv_cell(each.get(name)) for name in columns])
    _print_warnings(meta)


def print_explanation(found: Row, *, as_json: bool) -> None:
    """Print which source would answer a query, why not a cheaper one, and what it would read."""
    if as_json:
        print_record(dict(found), True, ())
        return
    shown = {
        "source": found["source"],
        "read_from": found["sources"],
        **{
            f"not_{each['source']}": "; ".join(each["reasons"])
            for each in found.get("excluded", ())
        },
        **{f"seconds_of_{name}": str(number) for name, number in found.get("seconds", {}).items()},
    }
    print_record(shown, False, list(shown))
    tables = [dict(each) for each in found["tables"]]
    if tables:
        print()
        print_records(tables, False, list(tables[0]))


def _records(rows: Sequence[Row], meta: Row) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns, and the rows by column."""
    columns: dict[str, None] = {}
    records = []
    for row in rows:
        record = dict(_columns_of(row, meta))
        columns |= dict.fromkeys(record)
        records.append(record)
    return list(columns), records


def _columns_of(row: Row, meta: Row) -> Iterator[tuple[str, Any]]:
    if row["start"] is not None:
        yield "start", _in_zone(row["start"], meta)
    for at, name in enumerate(meta["group_by"]):
        yield name, (OTHER if at == 0 else "") if row["is_other"] else row["group"][name]
    previous, change = row.get("previous") or {}, row.get("change") or {}
    for name, value in row["values"].items():
        yield name, value
        if name in previous:
            yield f"{name} before", previous[name]
        if name in change:
            yield f"{name} change", change[name]


def _in_zone(time: str, meta: Row) -> str:
    """Return a time of the API in the zone of the query."""
    zone = meta.get("time_zone", UTC)
    if zone == UTC:
        return time
    return datetime.fromisoformat(time).astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def _print_warnings(meta: Row) -> None:
    for each in meta.get("warnings", ()):
        print(f"warning: {each}", file=sys.stderr)


def _shown(value: Any) -> Any:
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else value
