"""`tracemill datasets`: import items of datasets from files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy.api_options import PublicKey, SecretKey, Url, api_of_project
from deploy.argument_files import check_writable, write_file
from deploy.dataset_files import Columns, Line, check_file, lines_in, read_items
from deploy.errors import RefusedError

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

ITEMS_AT_ONCE: Final = 200
BYTES_AT_ONCE: Final = 2_000_000
REFUSED_SHOWN_MAX: Final = 10
PROGRESS_EVERY: Final = 5_000
_OF_ITEMS: Final = frozenset({413, 422})
"""Statuses of responses to items that are too large or invalid."""

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
            " status on each line; or .csv or .parquet with these columns.",
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Name of the dataset, which is created if needed.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="Column of a CSV or Parquet file with inputs; repeatable."),
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
    with _progress(file) as show:
        for batch in _batches(lines):
            read += len(batch)
            refused += [{"line": each.number, "reason": each.fault} for each in batch if each.fault]
            sent = [each for each in batch if not each.fault]
            of_batch = _send(client, dataset, sent) if sent else []
            written += len(sent) - len(of_batch)
            refused += of_batch
            show(read, written)
    _report(file, written, sorted(refused, key=lambda each: each["line"]), refused_file)


def _send(client: AdminClient, dataset: str, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Send the items of lines, and return the refused lines with reasons.

    If the server refuses all of them together, each half is sent again, so that one item does not
    keep others from being imported.
    """
    body = {"dataset": dataset, "items": [each.item for each in lines]}
    path = ("v1", "datasets", "items")
    try:
        answer = client.record("POST", path, body, fields=("written", "refused"))
    except RefusedError as error:
        if error.status not in _OF_ITEMS:
            raise
        if len(lines) == 1:
            return [{"line": lines[0].number, "reason": str(error)}]
        half = len(lines) // 2
        return [*_send(client, dataset, lines[:half]), *_send(client, dataset, lines[half:])]
    return [
        {"line": lines[each["index"]].number, "reason": each["message"]}
        for each in answer["refused"]
    ]


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar, or lines now and then if standard error is no terminal.

    Yields a function that takes the number of lines read and of items written.
    """
    if not sys.stderr.isatty():
        shown = 0

        def print_line(read: int, written: int) -> None:
            nonlocal shown
            if read // PROGRESS_EVERY > shown:
                shown = read // PROGRESS_EVERY
                print(f"{read} lines read, {written} items written", file=sys.stderr)

        yield print_line
        return
    from rich.console import Console  # noqa: PLC0415  # slow to import
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("lines", total=lines_in(file))

        def show(read: int, written: int) -> None:
            progress.update(task, completed=read, description=f"lines, {written} items written")

        yield show


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
