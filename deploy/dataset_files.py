"""Read items of datasets from CSV and JSONL files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from deploy.errors import InvalidArgumentError

FIELDS: Final = (
    "id", "input", "expected_output", "metadata", "source_trace_id", "source_observation_id",
    "status",
)  # fmt: skip
JSON_FIELDS: Final = ("input", "expected_output", "metadata")
_CAMEL: Final = {
    "expectedOutput": "expected_output",
    "sourceTraceId": "source_trace_id",
    "sourceObservationId": "source_observation_id",
}
CELL_CHARS_MAX: Final = 4_000_000


class Line(NamedTuple):
    """A line of a file: its item, or the reason why it has none."""

    number: int
    item: dict[str, Any]
    fault: str = ""


class Columns(NamedTuple):
    """Columns of a CSV file that form the input and the expected output.

    Without any, these are the columns ``input`` and ``expected_output``.
    """

    inputs: Sequence[str] = ()
    expected: Sequence[str] = ()


def check_file(path: Path) -> None:
    """Check that a file can be opened.

    Raises:
        InvalidArgumentError: it cannot.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror or error}") from error


def read_items(path: Path, dataset: str, columns: Columns) -> Iterator[Line]:
    """Yield the items of a file, in order.

    An item without an id gets one that depends on its content and on how often it occurred, so that
    a repeated import changes nothing.

    Raises:
        InvalidArgumentError: the file cannot be read, or has another format.
    """
    occurrences: dict[str, int] = {}
    try:
        for line in _lines(path, columns):
            if line.fault or line.item.get("id"):
                yield line
                continue
            text = json.dumps([dataset, line.item], sort_keys=True)
            occurrences[text] = occurrences.get(text, 0) + 1
            identity = f"{occurrences[text]} {text}"
            item_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
            yield line._replace(item={**line.item, "id": item_id})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}") from error


def _lines(path: Path, columns: Columns) -> Iterator[Line]:
    if path.suffix == ".csv":
        return _csv_lines(path, columns)
    if path.suffix in (".jsonl", ".ndjson"):
        return _json_lines(path)
    raise InvalidArgumentError(f"{path.name} must end in .csv, .jsonl or .ndjson")


def _json_lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield Line(number, {}, f"not JSON: {error}")
                continue
            if not isinstance(found, dict):
                yield Line(number, {}, "not a JSON object")
                continue
            item = {str(_CAMEL.get(name, name)): found[name] for name in found}
            unknown = sorted(item.keys() - set(FIELDS))
            if unknown:
                fault = f"unknown field {unknown[0][:64]!r}; allowed: {', '.join(FIELDS)}"
                yield Line(number, {}, fault)
            else:
                yield Line(number, item)


def _csv_lines(path: Path, columns: Columns) -> Iterator[Line]:
    csv.field_size_limit(CELL_CHARS_MAX)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = [_CAMEL.get(each, each) for each in reader.fieldnames or ()]
        chosen = (*columns.inputs, *columns.expected)
        absent = [each for each in chosen if each not in (reader.fieldnames or ())]
        if absent:
            raise InvalidArgumentError(f"{path.name} has no column {absent[0]!r}")
        if not columns.inputs and "input" not in names:
            raise InvalidArgumentError(f"{path.name} has no column 'input': use --input COLUMN")
        for row in reader:
            number = reader.line_num
            if None in row or None in row.values():
                yield Line(number, {}, "the number of cells differs from the header")
                continue
            item = {
                name: _cell(row[given]) if name in JSON_FIELDS else row[given]
                for name, given in zip(names, reader.fieldnames or (), strict=True)
                if name in FIELDS and row[given] and given not in chosen
            }
            for field, of_field in (
                ("input", columns.inputs),
                ("expected_output", columns.expected),
            ):
                if of_field:
                    item[field] = _joined(row, of_field)
            for name in ("id", "status", "source_trace_id", "source_observation_id"):
                if name in item:
                    item[name] = str(row[name]) if name in row else item[name]
            yield Line(number, item)


def _joined(row: dict[str, str], columns: Sequence[str]) -> Any:
    """Return the value of a single column, or an object with those of several."""
    if len(columns) == 1:
        return _cell(row[columns[0]])
    return {each: _cell(row[each]) for each in columns}


def _cell(text: str) -> Any:
    """Return the JSON value of a cell with an object or list; any other cell is text."""
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
