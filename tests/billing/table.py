"""Write the generated parts of ``docs/costs.md``: the dialects and the rows of the corpus.

Run ``make docs`` (``python -m tests.billing.table``) after a change of either.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.billing.rows import Row, Table, tables
from tracemill.reconciliation import Dialect, dialects

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "costs.md"
_PART: Final = re.compile(
    r"(?P<open><!-- generated: (?P<name>\w+) -->\n).*?(?P<close><!-- end of generated -->)",
    re.DOTALL,
)


def document(text: str) -> str:
    """Return the text of the document with its generated parts as they must be now."""
    parts = {"dialects": _dialects(), "corpus": _corpus()}

    def part(found: re.Match[str]) -> str:
        lines = "\n".join(parts[found["name"]])
        return f"{found['open']}\n{lines}\n\n{found['close']}"

    return _PART.sub(part, text)


def _dialects() -> Iterator[str]:
    kinds = ("cache_read", "cache_write", "reasoning", "tool")
    yield "| dialect | within their sum | beside it | documented in |"
    yield "| --- | --- | --- | --- |"
    for dialect in vars(dialects).values():
        if isinstance(dialect, Dialect):
            names = {
                inside: ", ".join(
                    kind.replace("_", " ")
                    for kind in kinds
                    if getattr(dialect, f"{kind}_inside") is inside
                )
                for inside in (True, False)
            }
            yield f"| {dialect.name} | {names[True]} | {names[False]} | {dialect.source} |"


def _corpus() -> Iterator[str]:
    found = tables()
    rows = [row for table in found for row in table.rows]
    reports = {row.reported for row in rows if row.reported}
    raw = sum(row.via == "raw" for row in rows)
    spans = sum(bool(row.attributes) for row in rows)
    differ = sum(bool(row.genai_prices_differs) for row in rows)
    summary = (
        f"{len(rows)} rows: {raw} are usage objects of providers, {len(rows) - raw - spans} those "
        f"of SDKs, and {spans} attributes of spans; {len({row.via for row in rows}) - 1} SDKs, "
        f"instrumentations and versions of them sent them. {len(reports)} reports from the "
        f"trackers of other tools are among them. The extractors of genai-prices give another cost "
        f"in {differ} rows."
    )
    yield from textwrap.wrap(summary, 100)
    for table in sorted(found, key=lambda table: table.provider):
        yield from ("", f"### {table.provider}", "")
        yield "| API | sent by | what | counts | US dollars | documented in |"
        yield "| --- | --- | --- | --- | --- | --- |"
        yield from (_line(table, row) for row in table.rows)


def _line(table: Table, row: Row) -> str:
    counts = ", ".join(f"{unit} {count:,}" for unit, count in row.counts.items()) or "none"
    notes = [f"uncertain: {row.uncertain}"] if row.uncertain else []
    notes += [f"without a price: {', '.join(row.unpriced)}"] if row.unpriced else []
    notes += [f"tier: {row.service_tier}"] if row.service_tier else []
    if row.stated_usd and row.stated_usd != "none":
        notes.append(f"the sender states {row.stated_usd}")
    notes += [f"genai-prices {row.genai_prices_differs}"] if row.genai_prices_differs else []
    notes += [f"reported as {row.reported}"] if row.reported else []
    what = f"{row.name} ({'; '.join(notes)})" if notes else row.name
    source = row.source if row.price in ("", row.model) else f"{row.source}; price: {row.price}"
    cells = (row.api, row.via, what, counts, row.usd, source)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text()))
