"""Limits of what the observations stage keeps and writes, so that each row fits into a record.

``streams.core.observations.bounding`` limits the fields of single events, and the merges limit the
results of many. Lengths of names, ids and dimensions are constants instead of settings: they decide
which values are equal, and all workers must agree about that.

The sizes are as follows, in bytes of JSON, where a character takes at most six. A summary is an
observation that counts less than it reports, because observations below it report the same usage
(``streams.core.observations.summaries``). Tags, usage and summaries of a trace are in rows of
traces; status message, parameters, costs and tools are in rows of observations. So each kind of row
stays below ``FIXED_BYTES_MAX``:

====================================================  ==========================
short texts of a row, 18 of at most 1,000 characters             108,000
status message, parameters of a call                           1,200,000
usage as reported: 25,000 characters                             150,000
usage and costs: 4 maps of 65 types                              320,000
lists of tools (``streams.core.observations.tools``)           1,100,000
tags of a trace: 256 of 200 characters                           310,000
usage of a trace: 1,024 types of 200 characters                1,300,000
summaries of a trace: 1,000 ids, 40,000 characters               330,000
field names, numbers                                              10,000
all fields but texts and metadata: ``FIXED_BYTES_MAX``         3,670,016
====================================================  ==========================

``RowLimits`` divides the rest of a row between input, output and metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ID_CHARS_MAX: Final = 1_000
"""Longest id or name; a longer one is cut and ends in a hash of the whole."""
DIMENSION_CHARS_MAX: Final = 200
"""Longest environment, usage type or tag; a longer one is cut in the same way."""
LONG_CHARS_MAX: Final = 100_000
"""Longest status message and parameters of a call; longer ones are cut."""
SCORE_TEXT_CHARS_MAX: Final = 800_000
"""Longest text of a score."""
USAGE_TYPES_MAX: Final = 64
"""Usage types, and cost types, of one observation; the others are summed as ``OTHER_USAGE``."""
OTHER_USAGE: Final = "other"
REPORTED_USAGE_CHARS_MAX: Final = 25_000
"""JSON of the usage as reported: 100 types of 200 characters; ``{}`` replaces a longer one."""
TRACE_TAGS_MAX: Final = 256
"""Tags of one trace; the first ones in sorted order are kept."""
TRACE_USAGE_TYPES_MAX: Final = 1_024
"""Usage types of all observations of a trace; an event that would add more is rejected."""
TRACE_SUMMARIES_MAX: Final = 1_000
"""Summaries that the row of a trace lists. Totals are exact beyond it."""
TRACE_SUMMARY_ID_CHARS_MAX: Final = 40_000
"""Characters of the ids of listed summaries together."""
CELL_USAGE_TYPES_MAX: Final = 256
"""Usage types of one window; the others are summed as ``OTHER_USAGE``."""
DELTA_USAGE_TYPES_MAX: Final = 70
"""Usage types in the delta of one window and source record; the others are summed likewise."""
ERROR_TYPES_MAX: Final = 32
"""Error classes of one window, and of the delta of one window and source record; the others are
counted as ``OTHER_ERROR``."""
OTHER_ERROR: Final = "other"
METADATA_KEYS_MAX: Final = 2_000
"""Keys of merged metadata, including those of nested objects."""
METADATA_KEY_CHARS_MAX: Final = 1_000

ESCAPED_BYTES_MAX: Final = 6
"""Maximum bytes of one character in JSON."""
FIXED_BYTES_MAX: Final = 3 * 2**20 + 2**19
ROW_BYTES_MAX: Final = 16 * 2**20 - 64 * 2**10
"""Largest row that fits into a record of the default size."""


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Bytes that the texts of a row may take as JSON."""

    text_bytes_max: int = 5 * 2**20
    """Longest input, and longest output, of a trace or a merged observation."""
    metadata_bytes_max: int = 2 * 2**20
    """Merged metadata, including the logical timestamp of each key."""

    @property
    def texts_bytes_max(self) -> int:
        """Return the limit of input, output and metadata of a single event together."""
        return 2 * self.text_bytes_max + self.metadata_bytes_max


DEFAULT_ROW_LIMITS: Final = RowLimits()


def row_limits(row_bytes_max: int) -> RowLimits:
    """Return limits that keep rows within ``row_bytes_max``.

    If ``row_bytes_max`` is small, rows with very long names may exceed it.
    """
    texts = max(row_bytes_max - FIXED_BYTES_MAX, row_bytes_max // 2)
    return RowLimits(texts * 5 // 12, texts * 2 // 12)
