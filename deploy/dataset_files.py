"""Read items of datasets from CSV, JSONL and Parquet files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from deploy.errors import InvalidArgumentError
from deploy.item_faults import fault_of, json_value
from deploy.parquet_rows import ParquetRows

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
BLOCK_BYTES: Final = 1_000_000


class Line(NamedTuple):
    """A line of a file: its item, or the reason why it has none."""

    number: int
    item: dict[str, Any]
    fault: str = ""


class Columns(NamedTuple):
    """Columns of a CSV or Parquet file that form the input and the expected output.

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
        for read in _lines(path, columns):
            line = read if read.fault else read._replace(fault=fault_of(read.item))
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
    if path.suffix == ".parquet":
        return _parquet_lines(path, columns)
    raise InvalidArgumentError(f"{path.name} must end in .csv, .jsonl, .ndjson or .parquet")


def _json_lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                found = json_value(text)
            except (ValueError, RecursionError) as error:
                yield Line(number, {}, f"not JSON: {error}")
                continue
            if not isinstance(found, dict):
                yield Line(number, {}, "not a JSON object")
                continue
            item = {str(_CAMEL.get(name, name)): found[name] for name in found}
            unknown = sorted(item.keys() - set(FIELDS))
            if len(item) < len(found):
                yield Line(number, {}, "a field is given in both of its spellings")
            elif unknown:
                fault = f"unknown field {unknown[0][:64]!r}; allowed: {', '.join(FIELDS)}"
                yield Line(number, {}, fault)
            else:
                yield Line(number, item)


def _csv_lines(path: Path, columns: Columns) -> Iterator[Line]:
    csv.field_size_limit(CELL_CHARS_MAX)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        _check_columns(path, reader.fieldnames or (), columns)
        for row in reader:
            number = reader.line_num
            if None in row or None in row.values():
                yield Line(number, {}, "the number of cells differs from the header")
                continue
            yield Line(number, _item_of(row, columns))


def lines_in(path: Path) -> int:
    """Return the number of lines or rows of a file, for the progress.

    Raises:
        InvalidArgumentError: a Parquet file cannot be read.
    """
    if path.suffix == ".parquet":
        with ParquetRows(path) as file:
            return file.count
    with path.open("rb") as lines:
        return sum(block.count(b"\n") for block in iter(lambda: lines.read(BLOCK_BYTES), b""))


def _parquet_lines(path: Path, columns: Columns) -> Iterator[Line]:
    with ParquetRows(path) as file:
        _check_columns(path, file.names, columns)
        chosen = (*columns.inputs, *columns.expected)
        read = [each for each in file.names if each in chosen or _CAMEL.get(each, each) in FIELDS]
        for number, row in enumerate(file.rows(read), start=1):
            yield Line(number, _item_of(row, columns))


def _check_columns(path: Path, names: Iterable[str], columns: Columns) -> None:
    """Check that a file has the chosen columns, each once.

    Raises:
        InvalidArgumentError: it lacks one, or has one twice.
    """
    listed = list(names)
    present = set(listed)
    spelled = [_CAMEL.get(each, each) for each in listed]
    twice = [each for each in FIELDS if spelled.count(each) > 1]
    twice += [each for each in (*columns.inputs, *columns.expected) if listed.count(each) > 1]
    if twice:
        raise InvalidArgumentError(f"{path.name} has the column {twice[0]!r} twice")
    absent = [each for each in (*columns.inputs, *columns.expected) if each not in present]
    if absent:
        raise InvalidArgumentError(f"{path.name} has no column {absent[0]!r}")
    if not columns.inputs and "input" not in present:
        raise InvalidArgumentError(f"{path.name} has no column 'input': use --input COLUMN")


def _item_of(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Return the item of a row; empty cells and other columns are left out."""
    chosen = (*columns.inputs, *columns.expected)
    item: dict[str, Any] = {}
    for given, value in row.items():
        name = _CAMEL.get(given, given)
        if name in FIELDS and value not in (None, "") and given not in chosen:
            item[name] = _cell(value) if name in JSON_FIELDS else str(value)
    for field, of_field in (("input", columns.inputs), ("expected_output", columns.expected)):
        if of_field:
            item[field] = _joined(row, of_field)
    return item


def _joined(row: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """Return the value of a single column, or an object with those of several."""
    if len(columns) == 1:
        return _cell(row[columns[0]])
    return {each: _cell(row[each]) for each in columns}


def _cell(text: Any) -> Any:
    """Return the JSON value of a text with an object or list; other values are unchanged."""
    if isinstance(text, str) and text.lstrip().startswith(("{", "[")):
        try:
            return json_value(text)
        except (ValueError, RecursionError):
            return text
    return text
