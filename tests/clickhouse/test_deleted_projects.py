"""The sink drops the rows of deleted projects and no others, however rows are written."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.feeds import FEEDS
from clickhouse.rows import ControlLogRow
from clickhouse.sink.deleted_projects import ProjectFilter

FEED_OF = {feed.table: feed for feed in FEEDS}
PROJECTS = ("gone", "gone-2", "stays", "go", "x")


class Deleted:
    ids = frozenset({b"gone", b"gone-2"})


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, bytes]:
    """A row of a project, with its fields in some order, or none at all."""
    project = draw(st.sampled_from(PROJECTS))
    row = {
        "project_id": project,
        "name": draw(st.sampled_from(("gone", '{"project_id":"gone"', ""))),
    }
    if draw(st.booleans()):
        row = dict(reversed(row.items()))
    if draw(st.booleans()):
        return project, msgspec.json.encode(row)
    return project, json.dumps(row).encode()  # with spaces


@given(st.lists(lines(), max_size=20), st.booleans())
def test_rows_of_deleted_projects_are_left_out(
    rows: list[tuple[str, bytes]], has_broken_line: bool
) -> None:
    if has_broken_line:
        rows = [*rows, ("", b'{"project_id":')]
    value = b"\n".join(line for _, line in rows)
    kept = [line for project, line in rows if project.encode() not in Deleted.ids]
    filtered = ProjectFilter(FEED_OF["scores"], Deleted()).filtered(value)
    assert [line for line in filtered.split(b"\n") if line] == kept


def test_control_records_of_a_deleted_project_are_left_out() -> None:
    def row(**record: str) -> bytes:
        text = msgspec.json.encode({"kind": "webhook", "record": record}).decode()
        return msgspec.json.encode(
            ControlLogRow(
                log_offset=1, log_key="k", kind="webhook", id="w", record=text, appended_us=1
            )
        )

    control = ProjectFilter(FEED_OF["control_log"], Deleted())
    assert control.filtered(row(project_id="gone")) == b""
    for kept in (row(project_id="stays"), row(id="gone"), b"not a row"):
        assert control.filtered(kept) == kept
