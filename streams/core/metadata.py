"""Metadata as a join of statements: deep, key by key, the latest statement about a key wins.

A node is a ``Leaf`` (a scalar or a list, said at ``mark``) or a ``Branch`` (an object). A leaf said over an object covers every key that was said before it; what is
said of a key afterwards shows again: ``floor`` remembers how high the cover reaches. An object with nothing in it and a null say nothing. ``merge`` is
associative, commutative and idempotent, so statements may come in any order and any number of times.

A mark orders statements; see ``streams.core.marks``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 16
"""Objects nested deeper than this are taken whole, as a scalar is."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Leaf(msgspec.Struct, gc=False):
    mark: int
    value: Any


class Branch(msgspec.Struct):
    floor: int
    children: dict[str, Leaf | Branch]


Node = Leaf | Branch


def nothing() -> Branch:
    return Branch(0, {})


def statement(text: str, mark: int) -> Branch:
    """What the JSON text of an object says at ``mark``; any other text is the value of the key ``metadata``."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        value = text
    if not isinstance(value, dict):
        value = {"metadata": value}
    return _branch(value, mark, DEPTH_MAX)


def _branch(value: dict[str, Any], mark: int, depth: int) -> Branch:
    children: dict[str, Node] = {}
    for key, child in value.items():
        if isinstance(child, dict) and depth > 1:
            branch = _branch(child, mark, depth - 1)
            if branch.children:
                children[key] = branch
        elif child is not None and child != {}:
            children[key] = Leaf(mark, child)
    return Branch(0, children)


def merge(one: Branch, other: Branch) -> Branch:
    """Both; the arguments stay as they are."""
    floor = max(one.floor, other.floor)
    children = dict(one.children)
    for key, child in other.children.items():
        mine = children.get(key)
        children[key] = child if mine is None else _join(mine, child)
    return _above(Branch(floor, children), floor)


def _join(one: Node, other: Node) -> Node:
    if isinstance(one, Leaf):
        if isinstance(other, Leaf):
            return max(one, other, key=_rank)
        return _cover(one, other)
    if isinstance(other, Leaf):
        return _cover(other, one)
    return merge(one, other)


def _rank(leaf: Leaf) -> tuple[int, bytes]:
    return leaf.mark, _encode(leaf.value)


def _cover(leaf: Leaf, branch: Branch) -> Node:
    left = _above(Branch(max(branch.floor, leaf.mark), branch.children), leaf.mark)
    return left if left.children else leaf


def _above(branch: Branch, floor: int) -> Branch:
    """Without what was said below ``floor``."""
    children: dict[str, Node] = {}
    for key, child in branch.children.items():
        if isinstance(child, Leaf):
            if child.mark >= floor:
                children[key] = child
        else:
            kept = _above(child, floor)
            if kept.children:
                children[key] = kept
    return Branch(branch.floor, children)


def covered(branch: Branch, mark: int) -> Branch:
    """Without anything said at ``mark`` or before, and closed to what comes in from before."""
    return _above(Branch(mark, branch.children), mark + 1)


def text_of(branch: Branch) -> str:
    """The merged object as JSON, keys in order; empty for nothing."""
    return _encode(_value(branch)).decode() if branch.children else ""


def _value(branch: Branch) -> dict[str, Any]:
    return {
        key: child.value if isinstance(child, Leaf) else _value(child)
        for key, child in branch.children.items()
    }


def marks_of(branch: Branch) -> list[Any]:
    """The marks of a branch as JSON: ``[floor, {key: mark | [floor, …]}]``; with ``text_of`` it is the whole state."""
    return [
        branch.floor,
        {
            key: child.mark if isinstance(child, Leaf) else marks_of(child)
            for key, child in branch.children.items()
        },
    ]


def restored(text: str, marks: list[Any]) -> Branch:
    """The branch of which ``text_of`` and ``marks_of`` are these."""
    return _restored(msgspec.json.decode(text) if text else {}, marks)


def _restored(value: dict[str, Any], marks: list[Any]) -> Branch:
    floor, of_children = marks
    return Branch(
        floor,
        {
            key: _restored(value[key], mark) if isinstance(mark, list) else Leaf(mark, value[key])
            for key, mark in of_children.items()
        },
    )
