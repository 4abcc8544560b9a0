"""Compare two texts line by line, and changed lines word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final, Literal

LINES_MAX: Final = 2_000
"""Lines of each text that are compared; later lines are not shown."""
WORDS_MAX: Final = 400
"""Words of a line that are compared; all of a longer line counts as changed."""
WORD_PAIRS_MAX: Final = 2_000_000
"""Pairs of words of two texts that are compared; all of the changed lines after them counts as
changed, because the comparison of many long lines takes seconds."""
ALIKE_MIN: Final = 0.4
"""Share of equal words below which all of a line counts as changed."""
CONTEXT_LINES: Final = 3
"""Unchanged lines that are shown around a change."""
_WORDS: Final = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Segment:
    text: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """A line of one of the texts; ``number`` counts from 1."""

    number: int
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class DiffRow:
    """Lines beside each other; a side is None if the text has no such line."""

    kind: Literal["same", "changed", "skipped"]
    left: Side | None = None
    right: Side | None = None
    skipped: int = 0
    """Number of unchanged lines that are not shown."""


@dataclass(frozen=True, slots=True)
class Diff:
    rows: Sequence[DiffRow]
    removed: int
    """Lines that only the first text has."""
    added: int
    """Lines that only the second text has."""
    is_cut: bool = False
    """Whether a text has more than ``LINES_MAX`` lines."""


def side_by_side(before: str, after: str) -> Diff:
    """Return the lines of two texts beside each other."""
    old, new = before.splitlines(), after.splitlines()
    is_cut = max(len(old), len(new)) > LINES_MAX
    old, new = old[:LINES_MAX], new[:LINES_MAX]
    rows: list[DiffRow] = []
    removed = added = pairs = 0
    changes = SequenceMatcher(None, old, new).get_opcodes()
    for index, (tag, i1, i2, j1, j2) in enumerate(changes):
        if tag == "equal":
            is_last = index == len(changes) - 1
            rows += _unchanged(old[i1:i2], i1, j1, is_first=index == 0, is_last=is_last)
            continue
        removed += i2 - i1
        added += j2 - j1
        for at, (left, right) in enumerate(zip_longest(old[i1:i2], new[j1:j2])):
            old_words, new_words = _words_of(left), _words_of(right)
            if max(len(old_words), len(new_words)) <= WORDS_MAX:
                pairs += len(old_words) * len(new_words)
            is_compared = pairs <= WORD_PAIRS_MAX
            left_segments, right_segments = (
                _compared(old_words, new_words)
                if is_compared
                else (_changed(left), _changed(right))
            )
            rows.append(
                DiffRow(
                    "changed",
                    None if left is None else Side(i1 + at + 1, left_segments),
                    None if right is None else Side(j1 + at + 1, right_segments),
                )
            )
    return Diff(rows, removed, added, is_cut)


def _unchanged(
    lines: Sequence[str], left: int, right: int, *, is_first: bool, is_last: bool
) -> Iterator[DiffRow]:
    """Yield unchanged lines near a change, and one row for those that are far from it."""
    above = 0 if is_first else CONTEXT_LINES
    below = 0 if is_last else CONTEXT_LINES
    hidden = len(lines) - above - below
    if hidden <= 1:
        above, hidden = len(lines), 0
    for at, text in enumerate(lines):
        if hidden and at == above:
            yield DiffRow("skipped", skipped=hidden)
        if not hidden or not above <= at < above + hidden:
            segments = (Segment(text),)
            yield DiffRow("same", Side(left + at + 1, segments), Side(right + at + 1, segments))


def _words_of(line: str | None) -> list[str]:
    return [] if line is None else _WORDS.findall(line)


def _changed(line: str | None) -> list[Segment]:
    return [Segment(line or "", is_changed=True)]


def _compared(old: list[str], new: list[str]) -> tuple[list[Segment], list[Segment]]:
    """Return the words of two lines, of which those that differ are changed."""
    whole = _changed("".join(old)), _changed("".join(new))
    if not old or not new or max(len(old), len(new)) > WORDS_MAX:
        return whole
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < ALIKE_MIN:
        return whole
    left: list[Segment] = []
    right: list[Segment] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        is_changed = tag != "equal"
        for words, segments in ((old[i1:i2], left), (new[j1:j2], right)):
            if words:
                segments.append(Segment("".join(words), is_changed))
    return left, right
