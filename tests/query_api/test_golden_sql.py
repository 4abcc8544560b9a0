"""The SQL of every query, so that reviews see changes; it never contains clients' values."""

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from query_api.store import queries as package
from query_api.store.columns import OBSERVATION_COLUMNS, SCORE_COLUMNS, TRACE_COLUMNS
from query_api.store.filters import parse_filter
from query_api.store.queries import (
    aggregates,
    alert_states,
    alerts,
    budget_past,
    budget_states,
    control_versions,
    dead_letters,
    deliveries,
    documents,
    experiments,
    late_events,
    observations,
    owners,
    prompt_usage,
    recorded_experiments,
    rule_panes,
    rule_rows,
    scores,
    spend,
    totals,
    traces,
    unpriced,
    usual_spend,
    windows,
)
from query_api.store.queries.aggregates import Aggregate
from query_api.store.queries.alerts import FindAlerts
from query_api.store.queries.documents import (
    DocumentConditions,
    FindDocumentsById,
)
from query_api.store.queries.observations import (
    CountObservations,
    FindObservations,
    ReadObservations,
)
from query_api.store.queries.scores import CountScores, FindScores, ListScoreIds
from query_api.store.queries.traces import CountTraces, FindTraces
from query_api.store.queries.windows import ReadWindows
from query_api.store.rows import (
    OBSERVATION_NUMBERS,
    OBSERVATION_WHOLE,
)
from query_api.store.sql import StoreQuery
from query_api.store.steps import Runs
from tests.query_api.golden_sql.aggregates import AGGREGATES
from tests.query_api.golden_sql.alerts import ALERTS
from tests.query_api.golden_sql.documents import DOCUMENTS
from tests.query_api.golden_sql.example import NASTY, Example, condition
from tests.query_api.golden_sql.observations import OBSERVATIONS
from tests.query_api.golden_sql.owners import OWNERS
from tests.query_api.golden_sql.recorded_experiments import RECORDED_EXPERIMENTS
from tests.query_api.golden_sql.traces import TRACES
from tests.query_api.golden_sql.windows import WINDOWS

MODULES = (
    aggregates,
    alerts,
    budget_past,
    budget_states,
    alert_states,
    control_versions,
    dead_letters,
    deliveries,
    documents,
    experiments,
    late_events,
    observations,
    owners,
    prompt_usage,
    recorded_experiments,
    rule_panes,
    rule_rows,
    scores,
    spend,
    totals,
    traces,
    unpriced,
    usual_spend,
    windows,
)
QUERIES = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, StoreQuery) and kind is not StoreQuery
]
LISTS = (
    TRACES, OBSERVATIONS, OWNERS, WINDOWS, ALERTS, DOCUMENTS, AGGREGATES, RECORDED_EXPERIMENTS,
)  # fmt: skip
EXAMPLES = [each for examples in LISTS for each in examples]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example[0]).__name__)
def test_the_sql_of_a_query_is_as_listed_here(
    example: Example,
) -> None:
    query, text, params = example
    sql = query.sql()
    assert set(re.findall(r"\{(\w+):", sql.text)) == set(sql.params)
    assert _in_order(sql.text, sql.params) == _in_order(text, params)


def _in_order(text: str, params: dict[str, object]) -> tuple[str, list[object]]:
    """The text on one line, with its parameters numbered in order, and their values."""
    text = " ".join(text.split())
    names = list(dict.fromkeys(re.findall(r"\{(\w+):", text)))
    for number, name in enumerate(names):
        text = text.replace(f"{{{name}:", f"{{#{number}:")
    return text, [params[name] for name in names]


@pytest.mark.parametrize("kind", QUERIES)
def test_no_query_can_omit_its_project(kind: type[StoreQuery]) -> None:
    first = fields(kind)[0]
    assert (first.name, first.default, first.default_factory) == ("project_id", MISSING, MISSING)
    others = {each.name: 1 for each in fields(kind)[1:] if each.default is MISSING}
    with pytest.raises(TypeError):
        kind(**others)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="project"):
        kind("", **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", QUERIES)
def test_every_table_a_query_reads_is_restricted_to_its_project(kind: type[StoreQuery]) -> None:
    others = {each.name: 1 for each in fields(kind)[1:] if each.default is MISSING}
    if "conditions" in {each.name for each in fields(kind)} and kind is not ReadWindows:
        others["conditions"] = (condition("userId", "eq", "u"),)  # type: ignore[assignment]
    if "runs" in {each.name for each in fields(kind)}:
        others["runs"] = Runs(60, (0,), (0,))  # type: ignore[assignment]
    if "where" in others:
        others["where"] = DocumentConditions(kind="note", as_of_us=5)  # type: ignore[assignment]
    if "owner" in others and "ids" in others:
        others["ids"] = ("a",)  # type: ignore[assignment]
    if "owner" in {each.name for each in fields(kind)}:
        others["owner"] = "user_id"  # type: ignore[assignment]
    if kind is Aggregate:
        joins = ("traces", "summaries", "observation_scores", "trace_scores", "observations")
        others |= {"source": "observations", "joins": joins}  # type: ignore[dict-item]
    if kind is FindDocumentsById:
        others["ids"] = ("a",)  # type: ignore[assignment]
    text = kind("acme", **others).sql().text  # type: ignore[arg-type]
    tables = re.findall(r"FROM (\w+)", text)
    assert text.count("project_id = {project_id:String}") == len(tables) >= 1


@pytest.mark.parametrize("columns", [TRACE_COLUMNS, OBSERVATION_COLUMNS, SCORE_COLUMNS])
def test_values_of_clients_are_bound_and_never_written(columns: dict[str, object]) -> None:
    entries = [
        '{"type":"string","column":"name","operator":"=","value":"VALUE"}',
        '{"type":"stringOptions","column":"environment","operator":"none of","value":["VALUE"]}',
        '{"type":"stringObject","column":"metadata","key":"VALUE","operator":"contains","value":"VALUE"}',
    ]
    text = f"[{','.join(entries)}]".replace("VALUE", NASTY.replace("\\", "\\\\"))
    conditions = tuple(each for group in parse_filter(text, columns).values() for each in group)  # type: ignore[arg-type]
    for kind in (
        CountTraces,
        CountObservations,
        CountScores,
        FindScores,
        FindTraces,
        FindObservations,
    ):
        sql = kind("acme", conditions).sql()
        assert NASTY not in sql.text
        assert NASTY in sql.params.values()
        assert [NASTY] in sql.params.values()


def test_every_query_of_the_package_is_tested() -> None:
    assert {kind.__module__.rsplit(".", 1)[-1] for kind in QUERIES} == {
        path.stem for path in Path(package.__path__[0]).glob("*.py") if path.stem != "__init__"
    }
    assert {FindAlerts, ListScoreIds, ReadObservations} <= set(QUERIES)
    assert set(OBSERVATION_NUMBERS) < set(OBSERVATION_WHOLE)
