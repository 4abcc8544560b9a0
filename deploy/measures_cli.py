"""`tracemill measures`: send a query to `/v1/query`, and print its rows or how it is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.api_options import PublicKey, SecretKey, Url, api_of_project
from deploy.durations import seconds_in
from deploy.errors import InvalidArgumentError
from deploy.measure_tables import print_csv, print_explanation, print_table

QUERY: Final = ("v1", "query")
ROWS_DEFAULT: Final = 1_000
PAGE_ROWS: Final = 1_000


class Format(StrEnum):
    """Formats of rows."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def measures(  # options of the command
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MEASURE...", help="Such as cost_usd, count or latency_ms.p95."),
    ] = None,
    view: Annotated[
        str | None, typer.Option(help="What is counted: observations, traces or scores.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="DIMENSION", help="Group by a dimension; repeatable."),
    ] = None,
    having: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Only rows whose field has this value; of several values of a field, any.",
        ),
    ] = None,
    formula: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FORMULA",
            help="Formula over measures, such as 'per_trace=cost_usd / traces'; repeatable.",
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="The time until now, such as 7d; by default 1d."),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Begin, such as 2026-11-01T00:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End, exclusive.")] = None,
    step: Annotated[str | None, typer.Option(help="Length of steps, such as 1h or 1d.")] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="Zone of days, weeks and months, and of printed times, such as Europe/Berlin."
        ),
    ] = None,
    compare_with: Annotated[
        str | None,
        typer.Option(help="Also show the change since an earlier period: previous, or 7d before."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(help="Show so many of the largest groups, and all others as one.")
    ] = None,
    order_by: Annotated[
        str | None, typer.Option(help="Measure, dimension or start; with - first, descending.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = ROWS_DEFAULT,
    exact_percentiles: Annotated[
        bool, typer.Option("--exact-percentiles", help="Read all values, which is slower.")
    ] = False,
    body: Annotated[
        Path | None,
        typer.Option(
            "--body",
            metavar="FILE",
            help="JSON body of POST /v1/query, for all other fields; - reads standard input."
            " Options take precedence.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print which source would answer, and read nothing.")
    ] = False,
    output: Annotated[Format, typer.Option("--format", help="Format of the rows.")] = Format.TABLE,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Print measures of calls, traces or scores by step and group.

    Names of measures and dimensions are listed in the API's description at /docs, and by the error
    about an unknown one.
    """
    given: dict[str, Any] = {
        "view": view,
        "measures": names or None,
        "group_by": by,
        "filter": _filter_of(having or ()),
        "formulas": dict(_pair(each, "--formula") for each in formula or ()) or None,
        "from": _begin(begin, last),
        "to": end,
        "step": step,
        "time_zone": time_zone,
        "compare_with": compare_with,
        "top": top,
        "order_by": order_by,
        "exact_percentiles": exact_percentiles or None,
    }
    request = _read_body(body) | {name: each for name, each in given.items() if each is not None}
    client = api_of_project(url, public_key, secret_key)
    if explain:
        found = client.record("POST", (*QUERY, "explain"), request, fields=("source", "tables"))
        print_explanation(found, as_json=output is Format.JSON)
        return
    rows, meta = _rows(client, request, limit)
    if output is Format.JSON:
        print(json.dumps({"data": rows, "meta": meta}, indent=2, ensure_ascii=False))
    elif output is Format.CSV:
        print_csv(rows, meta)
    else:
        print_table(rows, meta)


def _rows(client: Any, request: dict[str, Any], limit: int) -> tuple[list[dict[str, Any]], Any]:
    """Return the rows of all pages up to the limit, and the last page's ``meta``."""
    rows: list[dict[str, Any]] = []
    page = request
    if request.get("top") is None:
        page = {**request, "limit": min(limit, PAGE_ROWS)}
    while True:
        found = client.record("POST", QUERY, page, fields=("data", "meta"))
        rows += found["data"]
        cursor = found["meta"].get("cursor")
        if cursor is None or len(rows) >= limit:
            return rows[:limit], found["meta"]
        page = {**page, "cursor": cursor, "limit": min(limit - len(rows), PAGE_ROWS)}


def _filter_of(texts: Sequence[str]) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for text in texts:
        field, value = _pair(text, "--filter")
        found.setdefault(field, []).append(value)
    return found or None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not is_pair or not name.strip():
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name.strip(), value.strip()


def _begin(begin: str | None, last: str | None) -> str | None:
    if last is None:
        return begin
    if begin is not None:
        raise typer.BadParameter("not together with --from", param_hint="--last")
    at = datetime.fromtimestamp(time.time() - seconds_in(last, "--last"), UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _read_body(path: Path | None) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        InvalidArgumentError: the file cannot be read, or is no JSON object.
    """
    if path is None:
        return {}
    try:
        text = (
            typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text("utf-8")
        )
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"--body {path}: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgumentError(f"--body {path}: must be a JSON object")
    return found
