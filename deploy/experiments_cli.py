"""`tracemill experiments`: compare runs of a dataset, for people and for CI jobs."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

import typer

from deploy.api_options import PublicKey, SecretKey, Url, api_of_project
from deploy.experiment_conditions import failed_conditions, parse_conditions
from deploy.experiment_reports import html_page, markdown

experiments = typer.Typer(
    name="experiments",
    no_args_is_help=True,
    help="Compare runs of experiments on datasets. The commands use the project's key.",
)


class Format(StrEnum):
    """Formats of a report."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


@experiments.callback()
def common() -> None:
    """Compare runs of experiments on datasets. The commands use the project's key."""


@experiments.command("compare")
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Names of runs; the first is the baseline."),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Name of the dataset; without it, runs are names or ids of experiments."),
    ] = None,
    report: Annotated[Format, typer.Option("--format", help="Format of the report.")] = (
        Format.MARKDOWN
    ),
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="End with exit code 1 if this holds for the last run, such as"
            " 'mean(correctness) < 0.8', 'diff(cost_usd) > 0.01' or 'regressions() > 0';"
            " repeatable.",
            metavar="CONDITION",
        ),
    ] = None,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Print a report that compares scores, cost, latency and tokens of runs."""
    conditions = parse_conditions(fail_if or [])
    client = api_of_project(url, public_key, secret_key)
    of_dataset = [] if dataset is None else [("dataset", dataset)]
    query = urlencode([*of_dataset, *(("runs", each) for each in runs)])
    path = ("v1", "experiments", "compare")
    comparison = client.record("GET", path, query=f"?{query}", fields=("runs",))
    failures = failed_conditions(comparison, conditions)
    if report is Format.JSON:
        print(json.dumps(comparison, indent=2, ensure_ascii=False))
    elif report is Format.HTML:
        print(html_page(comparison, failures), end="")
    else:
        print(markdown(comparison, failures), end="")
    for each in failures:
        typer.echo(f"failed: {each}", err=True)
    if failures:
        raise typer.Exit(1)
