"""Print records of the API: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def print_record(record: dict[str, Any], as_json: bool, fields: Sequence[str]) -> None:
    """Print the fields of a record that have a value, or all of it as JSON."""
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return
    shown = {name: _text(record.get(name)) for name in fields}
    width = max(map(len, shown))
    for name, text in shown.items():
        if text:
            print(f"{name.replace('_', ' '):{width}}  {text}")


def print_records(records: list[dict[str, Any]], as_json: bool, fields: Sequence[str]) -> None:
    """Print a table of records, without columns that have no value, or all of it as JSON."""
    if as_json:
        print(json.dumps({"data": records}, indent=2, ensure_ascii=False))
        return
    rows = [[_text(each.get(name)) for name in fields] for each in records]
    used = [number for number in range(len(fields)) if any(row[number] for row in rows)]
    table = [[fields[number].replace("_", " ") for number in used]]
    table += [[row[number] or "-" for number in used] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table if rows else ():
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    if not rows:
        print("none")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{printable(name)}: {count}" for name, count in value.items())
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Replace characters that could control a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
