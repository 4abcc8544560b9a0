"""`tracemill datasets`: import items of datasets from files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.api_options import PublicKey, SecretKey, Url, api_of_project
from deploy.argument_files import check_writable, write_file
from deploy.dataset_files import Columns, Line, check_file, read_items

ITEMS_AT_ONCE: Final = 200
BYTES_AT_ONCE: Final = 2_000_000
REFUSED_SHOWN_MAX: Final = 10
PROGRESS_EVERY: Final = 5_000

datasets = typer.Typer(
    name="datasets",
    no_args_is_help=True,
    help="Import items of datasets. The commands use the project's key.",
)


@datasets.callback()
def common() -> None:
    """Import items of datasets. The commands use the project's key."""


@datasets.command("import")
def import_items(
    file: Annotated[
        Path,
        typer.Argument(
            help="File with items: .jsonl, an object with input, expected_output, metadata, id and"
            " status on each line; or .csv with these columns.",
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Name of the dataset, which is created if needed.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="Column of the CSV file with inputs; repeatable."),
    ] = None,
    expected: Annotated[
        list[str] | None,
        typer.Option("--expected", help="Column with expected outputs; repeatable."),
    ] = None,
    refused_file: Annotated[
        Path | None,
        typer.Option("--refused", help="Write refused lines and reasons to this file, as JSONL."),
    ] = None,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Import items from a file; repeating an import changes nothing.

    The exit code is 1 if lines were refused.
    """
    check_file(file)
    if refused_file is not None:
        check_writable(refused_file)
    client = api_of_project(url, public_key, secret_key)
    client.call("POST", ("api", "public", "v2", "datasets"), {"name": dataset})
    written, read, refused = 0, 0, list[dict[str, Any]]()
    lines = read_items(file, dataset, Columns(inputs or (), expected or ()))
    for batch in _batches(lines):
        read += len(batch)
        refused += [{"line": each.number, "reason": each.fault} for each in batch if each.fault]
        sent = [each for each in batch if not each.fault]
        if sent:
            body = {"dataset": dataset, "items": [each.item for each in sent]}
            answer = client.record(
                "POST", ("v1", "datasets", "items"), body, fields=("written", "refused")
            )
            written += answer["written"]
            refused += [
                {"line": sent[each["index"]].number, "reason": each["message"]}
                for each in answer["refused"]
            ]
        if sys.stderr.isatty() or read % PROGRESS_EVERY < len(batch):
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{read} lines read, {written} items written", end=end, file=sys.stderr)
    _report(file, written, sorted(refused, key=lambda each: each["line"]), refused_file)


def _report(
    file: Path, written: int, refused: list[dict[str, Any]], refused_file: Path | None
) -> None:
    print(f"{written} items written, {len(refused)} lines refused")
    if refused_file is not None:
        lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in refused]
        write_file(refused_file, "".join(lines))
    for each in refused[:REFUSED_SHOWN_MAX]:
        typer.echo(f"{file.name}:{each['line']}: {each['reason']}", err=True)
    if len(refused) > REFUSED_SHOWN_MAX:
        typer.echo(f"and {len(refused) - REFUSED_SHOWN_MAX} more (--refused FILE)", err=True)
    if refused:
        raise typer.Exit(1)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield lines in batches that are small enough for a request."""
    batch, size = list[Line](), 0
    for line in lines:
        line_bytes = len(json.dumps(line.item))
        if batch and (len(batch) >= ITEMS_AT_ONCE or size + line_bytes > BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line_bytes
    if batch:
        yield batch
