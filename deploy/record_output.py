"""Print records of the API: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def print_record(record: dict[str, Any], as_json: bool, fields: Sequence[str]) -> None:
    """Print the fields of a record that have a value, or the whole record as JSON."""
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return
    shown = {name: _text(record.get(name)) for name in fields}
    width = max(map(len, shown))
    for name, text in shown.items():
        if text:
            print(f"{name.replace('_', ' '):{width}}  {text}")


def print_records(
    records: list[dict[str, Any]],
    as_json: bool,
    fields: Sequence[str],
    always: Sequence[str] = (),
) -> None:
    """Print records as a table or as JSON.

    The table omits columns without values, except those in ``always``.
    """
    if as_json:
        print(json.dumps({"data": records}, indent=2, ensure_ascii=False))
        return
    rows = [[_text(each.get(name)) for name in fields] for each in records]
    used = [
        number
        for number, name in enumerate(fields)
        if name in always or any(row[number] for row in rows)
    ]
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
        separator = "; " if any(isinstance(each, dict) for each in value) else ","
        return separator.join(map(_item, value))
    if isinstance(value, dict):
        return ", ".join(f"{printable(name)}: {_text(each)}" for name, each in value.items())
    return "" if value is None else printable(str(value))


def _item(value: Any) -> str:
    """Return the text of an item of a list; of a record, the fields that have a value."""
    if not isinstance(value, dict):
        return _text(value)
    texts = {
        name: f"({_text(each)})" if isinstance(each, dict) else _text(each)
        for name, each in value.items()
    }
    named = [f"{printable(name).replace('_', ' ')}: {text}" for name, text in texts.items() if text]
    return ", ".join(named)


def printable(text: str) -> str:
    """Replace characters that could control a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
