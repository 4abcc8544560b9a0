"""Read a page of observations.

Most of the cost of a list is merging the versions of all rows. The first page of a list that is
sorted by time, newest first, avoids it: the newest stored versions are found without merging, and
their observations are read by key. Versions that are not current are dropped; the others are the
page, because no current version can be missing among the newest ones. If too few are left, and for
later pages, the store merges the versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from query_api.store.newest import find_newest
from query_api.store.queries.observations import FindObservations, ReadObservations
from query_api.store.reader import Reader
from query_api.store.rows import StoredObservation
from query_api.store.trace_reading import read_observations
from query_api.times import SECOND_US

SUPERSEDED_EXPECTED: Final = 10
"""Number of versions that are read in addition to a page, because some are not current."""
_MINUTE_US: Final = 60 * SECOND_US


class ObservationVersion(msgspec.Struct, frozen=True):
    start_us: int
    trace_id: str
    id: str
    row_version: int

    @property
    def key(self) -> tuple[str, str]:
        return self.trace_id, self.id

    @property
    def position(self) -> tuple[int, str, str]:
        return self.start_us, self.trace_id, self.id


async def read_page(
    reader: Reader,
    query: FindObservations,
    columns: tuple[str, ...],
    *,
    from_us: int | None,
    newest_us: int,
) -> list[StoredObservation]:
    """Return the rows of ``query``; see ``find_newest`` for the times."""
    is_newest_first = query.descending and not query.order
    if is_newest_first and not query.offset:
        page = await _page_of_versions(reader, query, columns, from_us, newest_us)
        if page is not None:
            return page
    if is_newest_first:
        found = await find_newest(
            reader, query, ObservationVersion, from_us=from_us, newest_us=newest_us
        )
    else:
        found = await reader.rows(query, ObservationVersion)
    rows = await _rows_of(reader, query.project_id, found, columns)
    return [rows[version.key] for version in found if version.key in rows]


async def _page_of_versions(
    reader: Reader,
    query: FindObservations,
    columns: tuple[str, ...],
    from_us: int | None,
    newest_us: int,
) -> list[StoredObservation] | None:
    """Return the first page; ``None`` if too few of the versions are current to fill it."""
    wanted = query.limit
    versions = replace(query, merged=False, limit=2 * wanted + SUPERSEDED_EXPECTED)
    found = await find_newest(
        reader, versions, ObservationVersion, from_us=from_us, newest_us=newest_us
    )
    newest: dict[tuple[str, str], ObservationVersion] = {}
    for version in found:
        known = newest.get(version.key)
        if known is None or version.row_version > known.row_version:
            newest[version.key] = version
    in_order = sorted(newest.values(), key=lambda version: version.position, reverse=True)
    candidates = in_order[: wanted + SUPERSEDED_EXPECTED]
    rows = await _rows_of(reader, query.project_id, candidates, columns)
    page = [
        rows[version.key]
        for version in candidates
        if version.key in rows and rows[version.key].row_version == version.row_version
    ]
    is_everything = len(found) < versions.limit and len(candidates) == len(in_order)
    return page[:wanted] if len(page) >= wanted or is_everything else None


async def _rows_of(
    reader: Reader,
    project_id: str,
    versions: Sequence[ObservationVersion],
    columns: tuple[str, ...],
) -> dict[tuple[str, str], StoredObservation]:
    """Read the current rows of ``versions``; return them by trace and id.

    Only the minutes of ``versions`` are read. All versions of a row start in the same minute, or
    the old ones are marked as deleted in their minute.
    """
    if not versions:
        return {}
    begun_us = [version.start_us // _MINUTE_US * _MINUTE_US for version in versions]
    query = ReadObservations(
        project_id,
        trace_ids=tuple(dict.fromkeys(version.trace_id for version in versions)),
        ids=tuple(dict.fromkeys(version.id for version in versions)),
        from_us=min(begun_us),
        to_us=max(begun_us) + _MINUTE_US - 1,
        columns=columns,
    )
    rows = await read_observations(reader, query)
    return {(row.trace_id, row.id): row for row in rows}
