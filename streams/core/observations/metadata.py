"""Metadata as a join of statements: deep, key by key, the latest statement about a key wins.

A node is a ``Leaf`` (a scalar or a list, stated at ``mark``) or a ``Branch`` (an object). A leaf
stated over an object covers every key that was stated before it; what is stated of a key afterwards
shows again: ``floor`` remembers how high the cover reaches. An object with nothing in it and a null
state nothing. Joining is associative, commutative and idempotent, so statements may come in any
order and any number of times.

That holds as long as everything fits. What does not fit any more is left out as its statement comes
in, and ``CUT_KEY`` says so. The bounds are part of the join, and ``Metadata`` is a function of its
text and marks alone: so it makes no difference how statements are grouped, or whether it was read
back in between.

A mark orders statements; see ``streams.core.observations.logical_time``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.core.observations.json_texts import json_of
from streams.core.observations.limits import METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX, RowLimits

DEPTH_MAX: Final = 16
"""Objects nested deeper than this are taken whole, as a scalar is."""
CUT_KEY: Final = "tracemill.cut"
CUT_NOTE: Final = "more keys, or longer values, were sent than merged metadata may have"
CUT_VALUE: Final = "… (cut)"
"""In place of a value that is too long for what is left."""

_encode = msgspec.json.Encoder(order="deterministic").encode

_MARK_BYTES: Final = 32
"""What the mark of a key, or the floor of an object, takes besides the key, at most."""


class Leaf(msgspec.Struct, gc=False):
    mark: int
    value: Any


class Branch(msgspec.Struct):
    floor: int = 0
    children: dict[str, Leaf | Branch] = {}


Node = Leaf | Branch


def _escaped_bytes(value: Any) -> int:
    """What a value takes as JSON inside a JSON text."""
    encoded = _encode(value)
    return len(encoded) + encoded.count(b'"') + encoded.count(b"\\")


def _key_bytes(key: str) -> int:
    """What a key takes, in the text and in the marks."""
    return 2 * (_escaped_bytes(key) + 2) + _MARK_BYTES


_CUT_BYTES: Final = _escaped_bytes(CUT_VALUE)
_NOTE_BYTES: Final = _key_bytes(CUT_KEY) + _escaped_bytes(CUT_NOTE)


def _leaf_bytes(value: Any) -> int:
    """What a value takes; never less than ``CUT_VALUE``, which may have to take its place."""
    return max(_escaped_bytes(value), _CUT_BYTES)


def _branch_size(branch: Branch) -> tuple[int, int]:
    """Keys and bytes of what is in a branch."""
    keys = size = 0
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
    """Merged metadata, within its bounds; ``state`` and ``cover`` change it in place."""

    root: Branch = msgspec.field(default_factory=Branch)
    keys: int = 0
    bytes: int = 0
    """Of its text and of its marks, in a row."""
    written: tuple[str, list[Any]] | None = None
    """Text and marks, once they were asked for and until something changes."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metadata) and (self.root, self.keys, self.bytes) == (
            other.root,
            other.keys,
            other.bytes,
        )

    def __bool__(self) -> bool:
        return bool(self.root.children)

    def state(self, text: str, mark: int, limits: RowLimits) -> Stated:
        """Merge a JSON object at ``mark``; any other text becomes the value of the key
        ``metadata``.
        """
        value = json_of(text)
        if value is None and text.strip() != "null":
            value = text
        if not isinstance(value, dict):
            value = {"metadata": value}
        stated = Stated(mark, limits.metadata_bytes_max - _NOTE_BYTES)
        self._join(self.root, value, stated, 0, DEPTH_MAX)
        if stated.cut:
            self._note(mark, stated)
        if stated.changed:
            self.written = None
        return stated

    def cover(self, mark: int) -> None:
        """Drop values stated at ``mark`` or before, and ignore those that arrive later."""
        self.written = None
        self.root.floor = mark
        self._drop_below(self.root, mark + 1)

    def _join(
        self, branch: Branch, value: dict[str, Any], stated: Stated, floor: int, depth: int
    ) -> None:
        floor = max(floor, branch.floor)
        if stated.mark < floor:
            return
        for key, child in value.items():
            if isinstance(child, dict) and depth > 1:
                self._join_object(branch, key, child, stated, floor, depth)
            elif child is not None and child != {}:
                self._join_leaf(branch, key, child, stated)

    def _join_object(  # the place, the statement, and how far it reaches
        self,
        branch: Branch,
        key: str,
        value: dict[str, Any],
        stated: Stated,
        floor: int,
        depth: int,
    ) -> None:
        mine = branch.children.get(key)
        if isinstance(mine, Branch):
            self._join(mine, value, stated, floor, depth - 1)
            return
        if mine is None:
            if not self._fits(_key_bytes(key), key, stated):
                return
            opened = Branch(0, {})
            self.keys += 1
            self.bytes += _key_bytes(key)
            self._join(opened, value, stated, floor, depth - 1)
            if opened.children:
                branch.children[key] = opened
            else:
                self.keys -= 1
                self.bytes -= _key_bytes(key)
        elif stated.mark >= mine.mark:
            opened = Branch(mine.mark, {})
            self._join(opened, value, stated, floor, depth - 1)
            if opened.children:
                self.bytes -= _leaf_bytes(mine.value)
                branch.children[key] = opened
                stated.changed = True

    def _join_leaf(self, branch: Branch, key: str, value: Any, stated: Stated) -> None:
        mine, mark = branch.children.get(key), stated.mark
        if mine is None:
            self._add_leaf(branch, key, value, stated)
        elif isinstance(mine, Branch):
            if mark > mine.floor:
                mine.floor = mark
                stated.changed = True
                self._drop_below(mine, mark)
                if not mine.children:
                    self._replace(branch, key, value, 0, stated)
        elif mark > mine.mark or (mark == mine.mark and _encode(value) > _encode(mine.value)):
            self._replace(branch, key, value, _leaf_bytes(mine.value), stated)

    def _add_leaf(self, branch: Branch, key: str, value: Any, stated: Stated) -> None:
        if (
            self.keys + 1 >= METADATA_KEYS_MAX
        ):  # before its bytes are counted: there may be very many
            stated.cut = True
            return
        size = _key_bytes(key) + _leaf_bytes(value)
        if self._fits(size, key, stated):
            self.keys += 1
            self.bytes += size
            branch.children[key] = Leaf(stated.mark, value)
            stated.changed = True

    def _replace(
        self, branch: Branch, key: str, value: Any, before_bytes: int, stated: Stated
    ) -> None:
        """Put a value in the place of what took ``before_bytes``."""
        size = _leaf_bytes(value)
        if self.bytes + size - before_bytes > stated.bytes_max and size > before_bytes:
            value, size, stated.cut = CUT_VALUE, _CUT_BYTES, True
            if branch.children[key] == Leaf(stated.mark, CUT_VALUE):
                return
        branch.children[key] = Leaf(stated.mark, value)
        self.bytes += size - before_bytes
        stated.changed = True

    def _fits(self, size: int, key: str, stated: Stated) -> bool:
        if (
            self.keys + 1 >= METADATA_KEYS_MAX
            or self.bytes + size > stated.bytes_max
            or len(key) > METADATA_KEY_CHARS_MAX
        ):
            stated.cut = True
            return False
        return True

    def _note(self, mark: int, stated: Stated) -> None:
        mine = self.root.children.get(CUT_KEY)
        if mine is None:
            self.keys += 1
            self.bytes += _NOTE_BYTES
            self.root.children[CUT_KEY] = Leaf(mark, CUT_NOTE)
            stated.changed = True
        elif isinstance(mine, Leaf) and mine.mark < mark and mine.value == CUT_NOTE:
            mine.mark = mark
            stated.changed = True

    def _drop_below(self, branch: Branch, floor: int) -> None:
        """Drop what was stated before ``floor``."""
        dropped = []
        for key, child in branch.children.items():
            if isinstance(child, Leaf):
                if child.mark < floor:
                    self.bytes -= _leaf_bytes(child.value)
                    dropped.append(key)
            else:
                self._drop_below(child, floor)
                if not child.children:
                    dropped.append(key)
        for key in dropped:
            self.keys -= 1
            self.bytes -= _key_bytes(key)
            del branch.children[key]

    def has_later(self, mark: int) -> bool:
        """Whether anything in it was stated after ``mark``."""
        return _has_later(self.root, mark)

    def copy(self) -> Metadata:
        return Metadata(_copy(self.root), self.keys, self.bytes)

    def text(self) -> str:
        """The merged object as JSON, keys in order; empty for nothing."""
        return self._written()[0]

    def marks(self) -> list[Any]:
        """The marks as JSON: ``[floor, {key: mark | [floor, …]}]``; with ``text`` they are the
        whole state.
        """
        return self._written()[1]

    def _written(self) -> tuple[str, list[Any]]:
        if self.written is None:
            text = _encode(_value(self.root)).decode() if self.root.children else ""
            self.written = text, _marks(self.root)
        return self.written


class Stated(msgspec.Struct):
    """The result of merging a statement."""

    mark: int
    bytes_max: int
    changed: bool = False
    cut: bool = False


def restored(text: str, marks: list[Any]) -> Metadata:
    """Restore metadata from its text and marks."""
    root = _restored(msgspec.json.decode(text) if text else {}, marks)
    return Metadata(root, *_branch_size(root))


def _has_later(branch: Branch, mark: int) -> bool:
    return any(
        child.mark > mark if isinstance(child, Leaf) else _has_later(child, mark)
        for child in branch.children.values()
    )


def _copy(branch: Branch) -> Branch:
    # Leaves change only their mark, and that of the note: they are copied too.
    return Branch(
        branch.floor,
        {
            key: Leaf(child.mark, child.value) if isinstance(child, Leaf) else _copy(child)
            for key, child in branch.children.items()
        },
    )


def _value(branch: Branch) -> dict[str, Any]:
    return {
        key: child.value if isinstance(child, Leaf) else _value(child)
        for key, child in branch.children.items()
    }


def _marks(branch: Branch) -> list[Any]:
    return [
        branch.floor,
        {
            key: child.mark if isinstance(child, Leaf) else _marks(child)
            for key, child in branch.children.items()
        },
    ]


def _restored(value: dict[str, Any], marks: list[Any]) -> Branch:
    floor, of_children = marks
    return Branch(
        floor,
        {
            key: _restored(value[key], mark) if isinstance(mark, list) else Leaf(mark, value[key])
            for key, mark in of_children.items()
        },
    )
