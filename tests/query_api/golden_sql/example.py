"""What examples of SQL have in common."""

from query_api.store.columns import OBSERVATION_COLUMNS, TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.sql import StoreQuery

Example = tuple[StoreQuery, str, dict[str, object]]
"""A query, its SQL, and the values of its parameters."""
NASTY = "x' OR project_id != '' --\\"


def condition(name: str, operator: str, value: object = None, key: str = "") -> Condition:
    return Condition(OBSERVATION_COLUMNS[name], operator, value, key)  # type: ignore[arg-type]


def of_trace(name: str, operator: str, value: object = None) -> Condition:
    return Condition(TRACE_COLUMNS[name], operator, value)  # type: ignore[arg-type]
