"""Computes what observations count beside their descendants, from the whole tree at once."""

from __future__ import annotations

from typing import Any

Rows = dict[str, dict[str, Any]]
DEPTH_MAX = 500
AGGREGATES = ("SPAN", "AGENT", "CHAIN")


def count(rows: Rows) -> None:
    """Set ``counted_usage``, ``counted_pico`` and ``is_unpriced`` of a trace's observations."""
    is_tangled = any(_loops(rows, id_) for id_ in rows if _tokens(rows[id_]) is not None)
    for id_, row in rows.items():
        reported = _tokens(row) or (0, 0, 0)
        counted = reported if is_tangled else _counted(rows, id_)
        if counted == reported:
            row["counted_usage"], row["counted_pico"] = row["usage"], row["total_cost_pico"]
        else:
            inward, outward, row["counted_pico"] = counted
            usage = {"input": inward, "output": outward, "total": inward + outward}
            row["counted_usage"] = {kind: n for kind, n in usage.items() if n}
        row["is_summary"] = counted != reported
        left_nothing = row["is_summary"] and not row["counted_usage"]
        row["is_unpriced"] = row["cost_source"] == "unpriced" and not left_nothing


def _loops(rows: Rows, id_: str) -> bool:
    for _ in range(DEPTH_MAX + 1):
        id_ = (rows.get(id_) or {}).get("parent_id") or ""
        if not id_:
            return False
    return True


def _tokens(row: dict[str, Any]) -> tuple[int, int, int] | None:
    usage = {kind: n for kind, n in row["usage"].items() if n}
    if not usage and not row["total_cost_pico"]:
        return None
    sides = [sum(n for kind, n in usage.items() if kind.startswith(side)) for side in ("in", "out")]
    if not any(sides):
        sides[0] = usage.get("total", 0)
    return sides[0], sides[1], row["total_cost_pico"]


def _counted(rows: Rows, id_: str) -> tuple[int, int, int]:
    row, reported = rows[id_], _tokens(rows[id_])
    if reported is None:
        return (0, 0, 0)
    below = [each for each in _descendants(rows, id_) if _tokens(rows[each]) is not None]
    if not below:
        return reported
    sums = tuple(map(sum, zip(*(_counted(rows, each) for each in below), strict=True)))
    has_tokens = any(reported[:2])
    if (row.get("type") or "SPAN") in AGGREGATES:
        if has_tokens and reported[0] <= sums[0] and reported[1] <= sums[1]:
            return (0, 0, 0)
        return tuple(max(own - of_others, 0) for own, of_others in zip(reported, sums, strict=True))
    same_cost = reported[2] == sums[2] > 0
    same_model = not row.get("model") or any(
        not rows[each].get("model") or rows[each]["model"] == row["model"] for each in below
    )
    same_tokens = reported[:2] in (sums[:2], (sum(sums[:2]), 0))
    is_same = same_tokens and (same_cost or same_model) if has_tokens else same_cost
    return (0, 0, 0) if is_same else reported


def _descendants(rows: Rows, id_: str) -> list[str]:
    children = [each for each, row in rows.items() if row.get("parent_id") == id_]
    return children + [below for child in children for below in _descendants(rows, child)]
