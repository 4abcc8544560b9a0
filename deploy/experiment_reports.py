"""Render a comparison of experiments as Markdown or as an HTML page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Table = tuple[str, Sequence[str], list[list[str]]]
"""Title, columns and rows."""
_STYLE: Final = (
    "body{font-family:sans-serif}td,th{padding:.2em .8em;text-align:left}"
    "tr:nth-child(even){background:#eee}.failed{color:#b00}"
)
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>|#~])")


def markdown(comparison: Mapping[str, Any], failures: Sequence[str]) -> str:
    """Return a report as Markdown."""
    lines = [f"# {_escaped(_title(comparison))}", ""]
    lines += [f"- **failed:** {_escaped(each)}" for each in failures]
    for title, columns, rows in _tables(comparison):
        lines += ["", f"## {title}", "", _row(columns), _row(["---"] * len(columns))]
        lines += [_row([_escaped(each) for each in row]) for row in rows]
    return "\n".join(lines) + "\n"


def html_page(comparison: Mapping[str, Any], failures: Sequence[str]) -> str:
    """Return a report as an HTML page without scripts."""
    title = html.escape(_title(comparison))
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        f"<h1>{title}</h1>",
        *(f"<p class=failed>failed: {html.escape(each)}</p>" for each in failures),
    ]
    for name, columns, rows in _tables(comparison):
        head = "".join(f"<th>{html.escape(each)}</th>" for each in columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(each)}</td>' for each in row)}</tr>" for row in rows
        )
        parts.append(f"<h2>{html.escape(name)}</h2><table><tr>{head}</tr>{body}</table>")
    return "\n".join(parts) + "\n"


def _tables(comparison: Mapping[str, Any]) -> Iterator[Table]:
    names = sorted({name for run in comparison["runs"] for name in run["scores"]})
    columns = ["run", "items", "failed", "cost (USD)", "latency (ms)", "p95 (ms)", "tokens"]
    rows = [
        [
            run["name"], str(run["items"]), str(run["failed"]), _text(run["cost_usd"]["mean"]),
            _text(run["latency_ms"]["mean"]), _text(run["latency_ms"]["p95"]),
            _text(run["tokens"]["mean"]),
            *(_mean(run["scores"].get(name)) for name in names),
        ]
        for run in comparison["runs"]
    ]  # fmt: skip
    yield "Runs (means per item)", [*columns, *names], rows
    if comparison["differences"]:
        yield (
            "Differences (means of paired differences)",
            ["run", "compared with", "measure", "items", "difference", "95 % interval", ""],
            [
                [
                    each["run"], each["baseline"], each["measure"], str(each["items"]),
                    _text(each["mean"]), _interval(each["ci95"]),
                    "significant" if each["significant"] else "",
                ]
                for each in comparison["differences"]
            ],
        )  # fmt: skip
    for name in ("regressions", "improvements"):
        if comparison[name]:
            yield (
                _titled(comparison, name, name.capitalize()),
                ["run", "item", "score", "from", "to"],
                [
                    [
                        each["run"], each["item_id"], each["score"], _text(each["from"]),
                        _text(each["to"]),
                    ]
                    for each in comparison[name]
                ],
            )  # fmt: skip
    if comparison["missing"]:
        yield (
            _titled(comparison, "missing", "Missing items"),
            ["run", "item", "reason"],
            [[each["run"], each["item_id"], each["reason"]] for each in comparison["missing"]],
        )
    if comparison["failed"]:
        yield (
            _titled(comparison, "failed", "Failed items"),
            ["run", "item", "trace"],
            [[each["run"], each["item_id"], each["trace_id"]] for each in comparison["failed"]],
        )


def _titled(comparison: Mapping[str, Any], name: str, title: str) -> str:
    """Return the title of a list, with the number of entries that it lacks."""
    left_out = comparison["left_out"][name]
    return f"{title} (and {left_out:,} more)" if left_out else title


def _mean(score: Mapping[str, Any] | None) -> str:
    return "" if score is None else f"{score['mean']:.4g} {_interval(score['ci95'])}".strip()


def _interval(ci95: Sequence[float | str] | None) -> str:
    """Return an interval; bounds that are amounts of money are decimal strings."""
    return "" if ci95 is None else f"[{_text(ci95[0])}, {_text(ci95[1])}]"


def _text(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _title(comparison: Mapping[str, Any]) -> str:
    dataset = comparison["dataset"]
    return "Experiments" if dataset is None else f"Experiments on {dataset}"
