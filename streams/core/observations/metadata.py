"""Merge metadata key by key: the latest update of a key wins, at any depth.

A node is a ``Leaf`` (a scalar or a list with its logical timestamp) or a ``Branch`` (an object). A
leaf that is set in place of an object removes all older keys of it, and ``Branch.floor`` keeps the
leaf's timestamp: only keys that are set later appear again. Nulls are values like any other. An
empty object sets only that its key has an object, and removes no members of it; the outermost one
sets nothing. The merge is associative, commutative and idempotent as long as all values fit.

Values that do not fit are dropped when they arrive, and the key ``CUT_KEY`` is set. The limits are
part of the merge, and ``Metadata`` can be restored from its text and logical timestamps alone. So
the result does not depend on how updates are grouped into chunks, nor on evictions between them.

Logical timestamps are described in ``streams.core.observations.logical_time``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.core.bounded_cache import BoundedCache
from streams.core.observations.json_texts import json_of
from streams.core.observations.limits import METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX, RowLimits
from streams.core.observations.metadata_nodes import (
    NEVER,
    Branch,
    Leaf,
    copy_of,
    has_later,
    logical_times_of,
    restored,
    value_of,
)

DEPTH_MAX: Final = 16
"""Objects nested deeper than this are treated as scalars."""
CUT_KEY: Final = "tracemill.cut"
CUT_NOTE: Final = "more keys, or longer values, were sent than merged metadata may have"
CUT_VALUE: Final = "… (cut)"
"""Replaces a value that is too long for the remaining bytes."""

KEY_SIZES_BYTES_MAX: Final = 2**20
"""Maximum size of the cache of the sizes of keys, which repeat often."""
CACHED_KEY_CHARS_MAX: Final = 100
"""Maximum length of a key in this cache."""

_encode = msgspec.json.Encoder(order="deterministic").encode

_LOGICAL_TS_BYTES: Final = 32
"""Upper bound of the bytes of a logical timestamp in ``merge_state``."""


def _escaped_bytes(value: Any) -> int:
    """Return the size of a value as JSON inside a JSON text."""
    encoded = _encode(value)
    return len(encoded) + encoded.count(b'"') + encoded.count(b"\\")


def _rank(value: Any) -> bytes:
    """Return what decides between values with the same timestamp: the greatest wins, null last."""
    return b"" if value is None else _encode(value)


def _measured_key(key: str) -> int:
    return 2 * (_escaped_bytes(key) + 2) + _LOGICAL_TS_BYTES


_key_sizes: Final = BoundedCache(
    _measured_key, bytes_max=KEY_SIZES_BYTES_MAX, key_chars_max=CACHED_KEY_CHARS_MAX
)


def _key_bytes(key: str) -> int:
    """Return the size of a key in the text and in the logical timestamps together."""
    return _key_sizes[key]


_CUT_BYTES: Final = _escaped_bytes(CUT_VALUE)
_NOTE_BYTES: Final = _key_bytes(CUT_KEY) + _escaped_bytes(CUT_NOTE)


def _leaf_bytes(value: Any) -> int:
    """Return the size of a value, at least that of ``CUT_VALUE``, which may replace it."""
    return max(_escaped_bytes(value), _CUT_BYTES)


def _branch_size(branch: Branch) -> tuple[int, int]:
    """Return the number of keys in a branch and their size in bytes."""
    keys, size = 0, _LOGICAL_TS_BYTES if branch.is_emptied else 0
    for key, child in branch.children.items():
        keys += 1
        size += _key_bytes(key)
        if isinstance(child, Leaf):
            size += _leaf_bytes(child.value)
        else:
            more_keys, more_bytes = _branch_size(child)
            keys += more_keys
            size += more_bytes
    return keys, size


class Metadata(msgspec.Struct, eq=False):
    """Merged metadata within its limits; ``merge`` and ``cover`` change it in place."""

    root: Branch = msgspec.field(default_factory=Branch)
    keys: int = 0
    bytes: int = 0
    """Size of its text and logical timestamps in a row."""
    written: tuple[str, list[Any]] | None = None
    """Cache of text and logical timestamps; None after a change."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metadata) and (self.root, self.keys, self.bytes) == (
            other.root,
            other.keys,
            other.bytes,
        )

    def __bool__(self) -> bool:
        return bool(self.root.children)

    def merge(self, text: str, logical_ts: int, limits: RowLimits) -> MetadataMerge:
        """Merge a JSON object; any other text is set as the value of the key ``metadata``.

        The text ``null`` sets nothing.
        """
        value = json_of(text)
        if value is None:
            value = {} if text.strip() == "null" else text
        if not isinstance(value, dict):
            value = {"metadata": value}
        merge = MetadataMerge(logical_ts, limits.metadata_bytes_max - _NOTE_BYTES)
        self._join(self.root, value, merge, 0, DEPTH_MAX)
        if merge.cut:
            self._note(logical_ts, merge)
        if merge.changed:
            self.written = None
        return merge

    def cover(self, logical_ts: int) -> None:
        """Drop all values up to ``logical_ts``, and ignore updates up to it from now on."""
        self.written = None
        self.root.floor = logical_ts
        self._drop_below(self.root, logical_ts + 1, logical_ts)

    def _join(
        self, branch: Branch, value: dict[str, Any], merge: MetadataMerge, floor: int, depth: int
    ) -> None:
        floor = max(floor, branch.floor)
        if merge.logical_ts < floor:
            return
        for key, child in value.items():
            if isinstance(child, dict) and depth > 1:
                self._join_object(branch, key, child, merge, floor, depth)
            else:
                self._join_leaf(branch, key, child, merge, floor)

    def _join_object(
        self,
        branch: Branch,
        key: str,
        value: dict[str, Any],
        merge: MetadataMerge,
        floor: int,
        depth: int,
    ) -> None:
        existing = branch.children.get(key)
        if isinstance(existing, Branch):
            self._join_members(existing, value, merge, floor, depth)
            return
        if existing is None:
            if not self._fits(_key_bytes(key), key, merge):
                return
            opened = Branch(0, {})
            self.keys += 1
            self.bytes += _key_bytes(key)
            self._join_members(opened, value, merge, floor, depth)
            if opened.exists:
                branch.children[key] = opened
            else:
                self.keys -= 1
                self.bytes -= _key_bytes(key)
        elif merge.logical_ts >= existing.logical_ts:
            opened = Branch(existing.logical_ts if existing.logical_ts > floor else 0, {})
            self._join_members(opened, value, merge, floor, depth)
            if opened.exists:
                self.bytes -= _leaf_bytes(existing.value)
                branch.children[key] = opened
                merge.changed = True

    def _join_members(
        self, branch: Branch, value: dict[str, Any], merge: MetadataMerge, floor: int, depth: int
    ) -> None:
        """Merge an object into the branch of its key; ``depth`` is that of the key."""
        if value:
            self._join(branch, value, merge, floor, depth - 1)
        elif merge.logical_ts > branch.emptied and merge.logical_ts >= max(floor, branch.floor):
            if not branch.is_emptied:
                if self.bytes + _LOGICAL_TS_BYTES > merge.bytes_max:
                    merge.cut = True
                    return
                self.bytes += _LOGICAL_TS_BYTES
            branch.emptied = merge.logical_ts
            merge.changed = True

    def _join_leaf(
        self, branch: Branch, key: str, value: Any, merge: MetadataMerge, floor: int
    ) -> None:
        existing, logical_ts = branch.children.get(key), merge.logical_ts
        if existing is None:
            self._add_leaf(branch, key, value, merge)
        elif isinstance(existing, Branch):
            if logical_ts > max(existing.floor, floor):
                existing.floor = logical_ts
                merge.changed = True
                self._drop_below(existing, logical_ts, logical_ts)
                if not existing.exists:
                    self._replace(branch, key, value, 0, merge)
        elif logical_ts > existing.logical_ts or (
            logical_ts == existing.logical_ts and _rank(value) > _rank(existing.value)
        ):
            self._replace(branch, key, value, _leaf_bytes(existing.value), merge)

    def _add_leaf(self, branch: Branch, key: str, value: Any, merge: MetadataMerge) -> None:
        if self.keys + 1 >= METADATA_KEYS_MAX:  # checked first: measuring very many keys is slow
            merge.cut = True
            return
        size = _key_bytes(key) + _leaf_bytes(value)
        if self._fits(size, key, merge):
            self.keys += 1
            self.bytes += size
            branch.children[key] = Leaf(merge.logical_ts, value)
            merge.changed = True

    def _replace(
        self, branch: Branch, key: str, value: Any, before_bytes: int, merge: MetadataMerge
    ) -> None:
        """Set a value in place of one that took ``before_bytes``."""
        size = _leaf_bytes(value)
        if self.bytes + size - before_bytes > merge.bytes_max and size > before_bytes:
            value, size, merge.cut = CUT_VALUE, _CUT_BYTES, True
            if branch.children[key] == Leaf(merge.logical_ts, CUT_VALUE):
                return
        branch.children[key] = Leaf(merge.logical_ts, value)
        self.bytes += size - before_bytes
        merge.changed = True

    def _fits(self, size: int, key: str, merge: MetadataMerge) -> bool:
        if (
            self.keys + 1 >= METADATA_KEYS_MAX
            or self.bytes + size > merge.bytes_max
            or len(key) > METADATA_KEY_CHARS_MAX
        ):
            merge.cut = True
            return False
        return True

    def _note(self, logical_ts: int, merge: MetadataMerge) -> None:
        existing = self.root.children.get(CUT_KEY)
        if existing is None:
            self.keys += 1
            self.bytes += _NOTE_BYTES
            self.root.children[CUT_KEY] = Leaf(logical_ts, CUT_NOTE)
            merge.changed = True
        elif (
            isinstance(existing, Leaf)
            and existing.logical_ts < logical_ts
            and existing.value == CUT_NOTE
        ):
            existing.logical_ts = logical_ts
            merge.changed = True

    def _drop_below(self, branch: Branch, least_ts: int, floor: int) -> None:
        """Drop the values that were set before ``least_ts``.

        Floors up to ``floor``, which is that of an ancestor, are reset: they have no effect below
        it, and the state must not depend on the order of updates.
        """
        if branch.is_emptied and branch.emptied < least_ts:
            self.bytes -= _LOGICAL_TS_BYTES
            branch.emptied = NEVER
        dropped = []
        for key, child in branch.children.items():
            if isinstance(child, Leaf):
                if child.logical_ts < least_ts:
                    self.bytes -= _leaf_bytes(child.value)
                    dropped.append(key)
            else:
                self._drop_below(child, least_ts, floor)
                if child.floor <= floor:
                    child.floor = 0
                if not child.exists:
                    dropped.append(key)
        for key in dropped:
            self.keys -= 1
            self.bytes -= _key_bytes(key)
            del branch.children[key]

    def has_later(self, logical_ts: int) -> bool:
        """Return whether any value was set after ``logical_ts``."""
        return has_later(self.root, logical_ts)

    def text_of(self, key: str) -> str:
        """Return the value of a top-level key as text; empty if it is no text, number or Boolean.

        Numbers and Booleans are written as in JSON.
        """
        node = self.root.children.get(key)
        if not isinstance(node, Leaf) or not isinstance(node.value, str | int | float):
            return ""
        return node.value if isinstance(node.value, str) else _encode(node.value).decode()

    def copy(self) -> Metadata:
        return Metadata(copy_of(self.root), self.keys, self.bytes)

    def text(self) -> str:
        """Return the merged object as JSON, keys in order; an empty text if there are no keys."""
        return self._written()[0]

    def logical_times(self) -> list[Any]:
        """Return the timestamps as JSON: ``[floor, {key: logical_ts | [floor, …]}]``.

        A list has a third element, ``Branch.emptied``, if the object has it.

        Together with ``text`` they are the whole state.
        """
        return self._written()[1]

    def _written(self) -> tuple[str, list[Any]]:
        if self.written is None:
            text = _encode(value_of(self.root)).decode() if self.root.children else ""
            self.written = text, logical_times_of(self.root)
        return self.written


class MetadataMerge(msgspec.Struct):
    """The limits and the outcome of one merge."""

    logical_ts: int
    bytes_max: int
    changed: bool = False
    cut: bool = False


def restore_metadata(text: str, logical_times: list[Any]) -> Metadata:
    """Restore metadata from its text and logical timestamps."""
    root = restored(msgspec.json.decode(text) if text else {}, logical_times)
    return Metadata(root, *_branch_size(root))
